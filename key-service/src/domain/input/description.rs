//! What callers may send, in the words of OpenAPI.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::{RefOr, Schema};

use super::rules::{Object, Rule};
use super::table::{Input, Schemas};

/// The fields of a table, described one after the other.
#[derive(Default)]
pub struct Description {
    fields: Vec<Field>,
    referenced: Schemas,
}

struct Field {
    name: &'static str,
    about: String,
    schema: Value,
    /// Whether it must be there.
    required: bool,
    /// Whether it may be null, where it is part of a body.
    nullable: bool,
    example: Option<Value>,
}

/// How a field is given: each of these methods has its like in [`super::Fields`].
impl Description {
    /// It may be missing or null.
    pub fn optional(&mut self, name: &'static str, rule: &impl Rule, about: &[&str]) {
        self.add(name, rule, about, false, true);
    }

    /// It must be there.
    pub fn required(&mut self, name: &'static str, rule: &impl Rule, about: &[&str]) {
        self.add(name, rule, about, true, false);
    }

    /// It may be missing or null, which is the same as empty, zero or false.
    pub fn or_default(&mut self, name: &'static str, rule: &impl Rule, about: &[&str]) {
        self.add(name, rule, about, false, true);
    }

    /// It may be missing from a change, but not null.
    pub fn patch(&mut self, name: &'static str, rule: &impl Rule, about: &[&str]) {
        self.add(name, rule, about, false, false);
    }

    /// It may be missing from a change; null takes away what is there.
    pub fn patch_nullable(&mut self, name: &'static str, rule: &impl Rule, about: &[&str]) {
        self.add(name, rule, about, false, true);
    }

    /// The fields of another table beside these.
    pub fn inline<T: Input>(&mut self, _: &'static str, _: &Object<T>, _: &[&str]) {
        T::describe(self);
    }

    /// An example of the field that was described last.
    pub fn example(&mut self, example: Value) {
        if let Some(field) = self.fields.last_mut() {
            field.example = Some(example);
        }
    }

    fn add(
        &mut self,
        name: &'static str,
        rule: &impl Rule,
        about: &[&str],
        required: bool,
        nullable: bool,
    ) {
        rule.referenced(&mut self.referenced);
        self.fields.push(Field {
            name,
            about: text(about),
            schema: rule.schema(),
            required,
            nullable,
            example: None,
        });
    }

    pub(super) fn of<T: Input>() -> Self {
        let mut description = Self::default();
        T::describe(&mut description);
        description
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.name).collect()
    }
}

/// The lines of a comment, without the space before each.
fn text(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    lines.join("\n")
}

impl Field {
    /// Its schema in a body.
    fn property(self) -> Value {
        let mut schema = match self.schema {
            reference if reference.get("$ref").is_some() && self.nullable => {
                json!({"oneOf": [reference, {"type": "null"}]})
            }
            mut schema => {
                if self.nullable && schema["type"] != "null" {
                    schema["type"] = json!([schema["type"], "null"]);
                }
                schema
            }
        };
        if !self.about.is_empty() {
            schema["description"] = self.about.into();
        }
        if let Some(example) = self.example {
            schema["example"] = example;
        }
        schema
    }

    fn parameter(self) -> Value {
        json!({
            "name": self.name,
            "in": "query",
            "required": self.required,
            "description": self.about,
            "schema": self.schema,
        })
    }
}

/// The schema of a body.
pub fn body<T: Input>() -> RefOr<Schema> {
    let fields = Description::of::<T>().fields;
    let required = fields.iter().filter(|field| field.required);
    let required: Vec<&str> = required.map(|field| field.name).collect();
    let properties = fields
        .into_iter()
        .map(|field| (field.name.to_owned(), field.property()));
    let mut schema = json!({
        "type": "object",
        "description": text(T::ABOUT),
        "properties": properties.collect::<Map<_, _>>(),
        "required": required,
    });
    if !T::EXTENSIBLE {
        schema["additionalProperties"] = false.into();
    }
    serde_json::from_value(schema).expect("what the rules describe is a schema")
}

/// The parameters of a query.
pub fn parameters<T: Input>() -> Vec<Parameter> {
    let fields = Description::of::<T>().fields;
    let parameters: Vec<Value> = fields.into_iter().map(Field::parameter).collect();
    serde_json::from_value(parameters.into()).expect("what the rules describe are parameters")
}

/// Adds the schemas that a table refers to.
pub fn referenced<T: Input>(schemas: &mut Schemas) {
    schemas.extend(Description::of::<T>().referenced);
}

/// Refers to a schema by its name.
pub(super) fn schema_ref<T: ToSchema>() -> Value {
    json!({"$ref": format!("#/components/schemas/{}", T::name())})
}

/// Adds a schema with those that it refers to.
pub(super) fn register<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
