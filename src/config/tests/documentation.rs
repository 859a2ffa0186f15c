//! `docs/configuration.md` names every field with its default, and what it shows works.

use crate::config::fields::{CONFIGURATION, Shape};
use crate::config::{Settings, parse};

const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

/// Every field as the documentation writes it, such as `policies.NAME.scopes.all`, and its default.
fn fields() -> Vec<(String, Option<&'static str>)> {
    let mut fields = Vec::new();
    collect("", &CONFIGURATION, &mut fields);
    fields
}

fn collect(path: &str, shape: &'static Shape, fields: &mut Vec<(String, Option<&'static str>)>) {
    match shape {
        Shape::Plain => {}
        Shape::List(item) => collect(&format!("{path}[]"), item, fields),
        Shape::Named(member) => collect(&format!("{path}.NAME"), member, fields),
        Shape::Object(members) => {
            for field in *members {
                let path = match path {
                    "" => field.name.to_owned(),
                    // Documented as a policy like any other.
                    "default_policy" => continue,
                    parent => format!("{parent}.{}", field.name),
                };
                fields.push((path.clone(), field.default));
                collect(&path, &field.shape, fields);
            }
        }
    }
}

/// The cells of the table row whose first cell names a field, alone or among others.
fn row(field: &str) -> Option<Vec<&'static str>> {
    let name = format!("`{field}`");
    DOCUMENTATION
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .map(|line| line.split(" | ").collect::<Vec<_>>())
        .find(|cells| cells[0].split(", ").any(|cell| cell == name))
}

#[test]
fn every_field_has_a_row_with_its_default() {
    let fields = fields();
    assert!(fields.len() > 60, "only {} fields are known", fields.len());
    for (field, default) in fields {
        let row = row(&field).unwrap_or_else(|| panic!("{field} has no row"));
        assert!(row.len() >= 4, "{field}: {row:?}");
        let documented = row[2];
        match default {
            None => assert_eq!(documented, "required", "{field}"),
            Some("null") => assert!(
                documented.starts_with("none"),
                "{field} has no default, and is documented with {documented}"
            ),
            Some(default) => assert_eq!(documented, format!("`{default}`"), "{field}"),
        }
    }
}

#[test]
fn no_row_names_a_field_that_does_not_exist() {
    let fields = fields();
    let rows = DOCUMENTATION
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| line.split(" | ").next().unwrap_or(line));
    for cell in rows {
        for name in cell.split(", ").map(|name| name.trim_matches('`')) {
            assert!(
                fields.iter().any(|(field, _)| field == name),
                "{name} is documented and does not exist"
            );
        }
    }
}

#[test]
fn every_example_works() {
    let examples = examples();
    assert!(examples.len() >= 4);
    for example in examples {
        parsed(example);
    }
}

#[test]
fn the_defaults_written_out_change_nothing() {
    let examples = examples();
    assert_eq!(
        format!("{:?}", parsed(examples[0])),
        format!("{:?}", parsed(examples[examples.len() - 1]))
    );
}

fn examples() -> Vec<&'static str> {
    DOCUMENTATION
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

fn parsed(example: &str) -> Settings {
    match parse(example.as_bytes(), &|_| Some("secret".to_owned())) {
        Ok(settings) => {
            super::schema::takes(example.as_bytes());
            settings
        }
        Err(error) => panic!("{example}\n{error}"),
    }
}
