//! What people type into forms about records, read and shown as the API has it.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::api::{Api, Condition, Problem, WrongField};
use super::form::Sent;
use super::parts::Field;
use crate::domain::time::shown;
use crate::domain::when::{end, hours, when};

/// A field of a record, as it stands in forms.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// Its name in the API.
    pub name: &'static str,
    /// What stands beside it.
    pub label: &'static str,
    /// What may stand in it.
    pub help: &'static str,
    /// How it is typed.
    pub kind: Kind,
}

/// How a field is typed.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// As it is; nothing is null.
    Line,
    /// As words; nothing is an empty list.
    Words,
    /// As words; nothing is null, which does not narrow. A switch of this name and label says that the list is empty.
    Narrowing(&'static str, &'static str),
    /// As a time, of which a day is its begin.
    Begin,
    /// As a time, of which a day is its end.
    End,
    /// As days and a span.
    Hours,
    /// As one of these words.
    Choice(&'static [(&'static str, &'static str)]),
}

impl Item {
    /// The fields of a form that hold what a record holds; null holds nothing.
    pub fn fields(&self, record: &Value) -> Vec<Field> {
        let value = &record[self.name];
        let field = match self.kind {
            Kind::Words | Kind::Narrowing(..) => Field::lines(self.name, self.label),
            Kind::Choice(words) => Field::choice(self.name, self.label, words),
            _ => Field::line(self.name, self.label),
        };
        let mut fields = vec![field.help(self.help).holding(self.text(value))];
        if let Kind::Narrowing(name, label) = self.kind {
            let is_empty = value.as_array().is_some_and(Vec::is_empty);
            let switch = Field::switch(name, label);
            fields.push(switch.holding(if is_empty { "true" } else { "" }));
        }
        fields
    }

    /// A value of the API, as it is typed.
    fn text(&self, value: &Value) -> String {
        match (self.kind, value) {
            (_, Value::String(text)) => text.clone(),
            (_, Value::Array(words)) => words_of(words).join("\n"),
            (Kind::Begin | Kind::End, Value::Number(time)) => {
                time.as_i64().map(shown).unwrap_or_default()
            }
            (Kind::Hours, Value::Object(hours)) => {
                let text = |name: &str| hours.get(name).and_then(Value::as_str).unwrap_or_default();
                let days = hours.get("days").and_then(Value::as_array);
                let days = days
                    .map(|days| words_of(days).join(","))
                    .unwrap_or_default();
                format!("{days} {}-{}", text("from"), text("to"))
            }
            _ => String::new(),
        }
    }

    /// What a form says of the field, as the API takes it.
    fn value(&self, sent: &Sent) -> Result<Value, String> {
        if let Kind::Narrowing(name, _) = self.kind
            && sent.is_on(name)
        {
            return Ok(json!([]));
        }
        let Some(text) = sent.text(self.name) else {
            return Ok(match self.kind {
                Kind::Words => json!([]),
                _ => Value::Null,
            });
        };
        match self.kind {
            Kind::Line | Kind::Choice(_) => Ok(json!(text)),
            Kind::Words | Kind::Narrowing(..) => Ok(json!(sent.words(self.name))),
            Kind::Begin => when(text).map(Value::from),
            Kind::End => end(text).map(Value::from),
            Kind::Hours => hours(text),
        }
    }

    /// Whether a form holds of the field what the page with it held. What was not touched is not sent: of some values the
    /// text says less than they are.
    fn is_untouched(&self, sent: &Sent, record: &Value) -> bool {
        let same = |field: &Field| {
            let typed = sent
                .text(field.name)
                .unwrap_or_default()
                .replace("\r\n", "\n");
            typed == field.value.trim()
        };
        self.fields(record).iter().all(same)
    }
}

fn words_of(values: &[Value]) -> Vec<&str> {
    values.iter().filter_map(Value::as_str).collect()
}

/// Makes a record of what a form says, once for each form that can be sent once.
pub async fn make(api: &Api, path: &str, items: &[Item], sent: &Sent) -> Result<Value, Problem> {
    let body = changed(items, sent, &Value::Null)?.into();
    let condition = sent.text("once").map(Condition::Once);
    api.send_if(condition, Method::POST, path, Some(body)).await
}

/// Changes a record to what a form says, if nobody else has changed it since the page of the form showed this version.
pub async fn change(
    api: &Api,
    path: &str,
    items: &[Item],
    sent: &Sent,
    (record, version): (&Value, &str),
) -> Result<Value, Problem> {
    let body = changed(items, sent, record)?.into();
    let condition = Some(Condition::Unchanged(version));
    api.send_if(condition, Method::PATCH, path, Some(body))
        .await
}

/// What a form changes of a record: the fields that are not as they were. `Value::Null` is no record yet.
pub fn changed(items: &[Item], sent: &Sent, record: &Value) -> Result<Map<String, Value>, Problem> {
    let mut body = Map::new();
    let mut errors = Vec::new();
    for item in items {
        if item.is_untouched(sent, record) {
            continue;
        }
        match item.value(sent) {
            Ok(value) => {
                body.insert(item.name.to_owned(), value);
            }
            Err(message) => errors.push(WrongField {
                field: item.name.to_owned(),
                message,
                rule: None,
            }),
        }
    }
    match errors.is_empty() {
        true => Ok(body),
        false => Err(Problem {
            status: 400,
            title: "Not understood".to_owned(),
            detail: "Nothing was done. What is wrong stands beside the fields.".to_owned(),
            errors,
            ..Problem::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEMS: [Item; 5] = [
        item("name", Kind::Line),
        item("networks", Kind::Narrowing("nowhere", "Nowhere")),
        item("scopes", Kind::Words),
        item("expires_at", Kind::End),
        item("hours", Kind::Hours),
    ];

    const fn item(name: &'static str, kind: Kind) -> Item {
        Item {
            name,
            label: "",
            help: "",
            kind,
        }
    }

    fn sent(pairs: &[(&str, &str)]) -> Sent {
        Sent::of(
            pairs
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// What a browser sends of the page where nobody types anything.
    fn as_shown(record: &Value) -> Vec<(&'static str, String)> {
        let fields = ITEMS.iter().flat_map(|item| item.fields(record));
        let filled = fields.filter(|field| field.name != "nowhere" || field.value == "true");
        filled
            .map(|field| (field.name, field.value.replace('\n', "\r\n")))
            .collect()
    }

    #[test]
    fn what_nobody_touches_is_not_sent() {
        let record = json!({
            "name": " a  b ", "networks": [], "scopes": ["a,b", "c"], "expires_at": 1_790_000_000,
            "hours": {"days": ["mon", "sun"], "from": "08:00", "to": "00:00"},
        });
        let shown = as_shown(&record);
        let pairs: Vec<(&str, &str)> = shown
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(changed(&ITEMS, &sent(&pairs), &record).unwrap(), Map::new());
    }

    #[test]
    fn no_network_and_any_are_told_apart() {
        let record = json!({"networks": ["10.0.0.0/8"]});
        let change =
            |pairs: &[(&str, &str)], record: &Value| changed(&ITEMS, &sent(pairs), record).unwrap();
        assert_eq!(
            change(&[("networks", "10.0.0.0/8"), ("nowhere", "true")], &record)["networks"],
            json!([])
        );
        assert_eq!(change(&[], &record)["networks"], json!(null));
        assert_eq!(
            change(&[], &json!({"networks": []}))["networks"],
            json!(null)
        );
        let typed = change(&[("networks", "10.0.0.0/8\r\n::1, 192.0.2.1")], &record);
        assert_eq!(typed["networks"], json!(["10.0.0.0/8", "::1", "192.0.2.1"]));
    }

    #[test]
    fn what_cannot_be_read_is_told_of_its_field() {
        let form = sent(&[
            ("expires_at", "tomorrow"),
            ("hours", "always"),
            ("name", "x"),
        ]);
        let problem = changed(&ITEMS, &form, &Value::Null).unwrap_err();
        let fields: Vec<&str> = problem
            .errors
            .iter()
            .map(|error| error.field.as_str())
            .collect();
        assert_eq!(fields, ["expires_at", "hours"]);
    }
}
