//! Pages with a list: filtered and sorted by links, a part at a time, and taken whole as CSV or JSON.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Query};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use form_urlencoded::Serializer;
use futures_util::stream::try_unfold;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::api::{Api, List, Problem};
use super::error::Stop;
use super::page::{Page, Shown};
use super::parts::{Cell, Column, Field, Order, Table};
use super::visit::Visit;

/// Entries of a page.
const ON_A_PAGE: usize = 50;
/// Entries that are asked for at once where all are taken.
const AT_ONCE: usize = 500;

/// A list: where it is, what it can be narrowed by, and what it holds.
pub struct Listing {
    /// Its page.
    pub path: &'static str,
    /// Where the API has it.
    pub api: &'static str,
    /// What the API can narrow it by, and sort it by: these parameters of the page are handed on.
    pub parameters: &'static [&'static str],
    /// Its columns, with the words by which the API sorts them.
    pub columns: &'static [(&'static str, Option<&'static str>)],
    /// What stands in a CSV file: headers, and where the values are in an entry of the API (RFC 6901).
    pub csv: &'static [(&'static str, &'static str)],
}

/// The parameters of a page.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    typed: Vec<(String, String)>,
    /// What the API is asked for, where that is written otherwise than people type it.
    meant: Vec<(&'static str, Option<String>)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Stop> {
        let read = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        // What cannot be read is asked for by nobody.
        Ok(Self {
            typed: read.map(|Query(pairs)| pairs).unwrap_or_default(),
            meant: Vec::new(),
        })
    }
}

impl Asked {
    /// A parameter that holds something.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.typed.iter().filter(|(parameter, _)| parameter == name);
        let text = values.next().map(|(_, value)| value.trim())?;
        (!text.is_empty()).then_some(text)
    }

    /// With this parameter where none of its name is given.
    pub fn or(mut self, name: &str, value: &str) -> Self {
        if self.get(name).is_none() {
            self.typed.insert(0, (name.to_owned(), value.to_owned()));
        }
        self
    }

    /// With a parameter that means this to the API, or nothing.
    pub fn meaning(mut self, name: &'static str, value: Option<String>) -> Self {
        self.meant.push((name, value));
        self
    }

    /// What a parameter means to the API.
    fn meant(&self, name: &str) -> Option<&str> {
        let mut meant = self.meant.iter().filter(|(meant, _)| *meant == name);
        match meant.next() {
            Some((_, value)) => value.as_deref(),
            None => self.get(name),
        }
    }

    /// What the last form has done.
    pub fn done(&self) -> Option<&str> {
        self.get("done")
    }
}

/// In which form a list is taken whole.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    /// Comma-separated values (RFC 4180).
    Csv,
    /// A JSON array of what the API gives.
    Json,
}

/// A page with a list.
#[derive(askama::Template)]
#[template(path = "list.html")]
pub struct ListPage {
    /// Its frame.
    pub page: Page,
    /// What it is about.
    pub intro: String,
    /// What it can be narrowed by.
    pub filters: Vec<Field>,
    /// The list.
    pub table: Table,
    /// Where it goes on.
    pub next: Option<String>,
    /// Its begin, where this is not it.
    pub first: Option<String>,
    /// Where it can be taken whole.
    pub csv: String,
    /// The same.
    pub json: String,
    /// Where one more is made, and what that is called.
    pub make: Option<(&'static str, &'static str)>,
    /// The page itself.
    pub path: &'static str,
    /// The order, which narrowing does not change.
    pub sort: Option<String>,
    /// Why there is none.
    pub problem: Option<Problem>,
}

impl Listing {
    /// The page, with a row an entry.
    pub async fn show<T: DeserializeOwned>(
        &self,
        visit: &Visit,
        page: Page,
        asked: &Asked,
        filters: Vec<Field>,
        row: impl Fn(&T) -> Vec<Cell>,
    ) -> Result<ListPage, Stop> {
        let limit = ("limit", ON_A_PAGE.to_string());
        let query = self.query(|name| asked.meant(name), &["page_token"], &[limit]);
        let found = visit.api.send_get(&format!("{}?{query}", self.api)).await;
        let (items, next, problem) = match found.and_then(read::<List<T>>) {
            Ok(list) => (list.items, list.next_page_token, None),
            // A filter that is mistyped: the page shows it, and what is wrong with it.
            Err(problem) if problem.status == 400 => (Vec::new(), None, Some(problem)),
            Err(problem) => return Err(problem.into()),
        };
        let columns = self.columns.iter();
        let title = page.title.clone();
        Ok(ListPage {
            intro: String::new(),
            filters: filters
                .into_iter()
                .map(|field| {
                    let value = asked.get(field.name).unwrap_or_default().to_owned();
                    let wrong = problem.iter().flat_map(|problem: &Problem| &problem.errors);
                    let mut of_field = wrong.filter(|wrong| wrong.field == field.name);
                    Field {
                        error: of_field.next().map(|wrong| wrong.message.clone()),
                        ..field.holding(value)
                    }
                })
                .collect(),
            table: Table {
                caption: title,
                columns: columns.map(|column| self.column(asked, column)).collect(),
                rows: items.iter().map(row).collect(),
                empty: "There is none.".to_owned(),
            },
            next: next.map(|token| self.at(asked, "", &[("page_token", token)])),
            first: asked.get("page_token").map(|_| self.at(asked, "", &[])),
            csv: self.at(asked, ".csv", &[]),
            json: self.at(asked, ".json", &[]),
            make: None,
            path: self.path,
            sort: asked.get("sort").map(str::to_owned),
            problem,
            page,
        })
    }

    fn column(&self, asked: &Asked, column: &(&'static str, Option<&'static str>)) -> Column {
        let (label, Some(word)) = *column else {
            return Column::plain(column.0);
        };
        let sort = asked.get("sort");
        let order = match sort {
            Some(by) if by == word => Some(Order::Ascending),
            Some(by) if by.strip_prefix('-') == Some(word) => Some(Order::Descending),
            _ => None,
        };
        let other = match order {
            Some(Order::Ascending) => format!("-{word}"),
            _ => word.to_owned(),
        };
        Column {
            label,
            sort: Some(self.at(asked, "", &[("sort", other)])),
            order,
        }
    }

    /// The page with the same filters and these parameters.
    fn at(&self, asked: &Asked, suffix: &str, more: &[(&str, String)]) -> String {
        let query = self.query(|name| asked.get(name), &[], more);
        match query.is_empty() {
            true => format!("{}{suffix}", self.path),
            false => format!("{}{suffix}?{query}", self.path),
        }
    }

    /// The filters that are asked for, those parameters that are named, and more.
    fn query<'a>(
        &self,
        asked: impl Fn(&str) -> Option<&'a str>,
        also: &[&str],
        more: &[(&str, String)],
    ) -> String {
        let mut query = Serializer::new(String::new());
        for name in self.parameters.iter().chain(also) {
            let given = more.iter().any(|(other, _)| other == name);
            if let Some(value) = asked(name).filter(|_| !given) {
                query.append_pair(name, value);
            }
        }
        for (name, value) in more {
            query.append_pair(name, value);
        }
        query.finish()
    }

    /// The whole list, as it is narrowed. It is sent while it is read, however long it is.
    pub async fn take(
        &'static self,
        visit: Visit,
        asked: &Asked,
        format: Format,
    ) -> Result<Response, Stop> {
        let limit = ("limit", AT_ONCE.to_string());
        let query = self.query(|name| asked.meant(name), &[], &[limit]);
        let mut taking = Taking {
            api: visit.api,
            path: format!("{}?{query}", self.api),
            listing: self,
            format,
            next: Next::First,
        };
        // Before anything is sent: what cannot be had is a page that says why.
        let first = taking.part().await?;
        let stream = try_unfold(
            (VecDeque::from([first]), taking),
            async |(mut read, mut taking)| {
                match read.pop_front() {
                    Some(part) => Ok(Some((part, (read, taking)))),
                    None if matches!(taking.next, Next::Done) => Ok(None),
                    None => match taking.part().await {
                        Ok(part) => Ok(Some((part, (read, taking)))),
                        // The browser sees that it did not get all.
                        Err(problem) => Err(std::io::Error::other(problem.title)),
                    },
                }
            },
        );
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let (kind, ending) = match format {
            Format::Csv => ("text/csv; charset=utf-8", "csv"),
            Format::Json => ("application/json", "json"),
        };
        let file = format!("attachment; filename=\"{name}.{ending}\"");
        let headers = [
            (header::CONTENT_TYPE, kind.to_owned()),
            (header::CONTENT_DISPOSITION, file),
        ];
        Ok((headers, Body::from_stream(Box::pin(stream))).into_response())
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Problem> {
    serde_json::from_value(answer).map_err(|_| Problem::unreadable())
}

/// Where a list that is taken whole goes on.
enum Next {
    First,
    At(String),
    Done,
}

/// A list that is being taken.
struct Taking {
    api: Api,
    path: String,
    listing: &'static Listing,
    format: Format,
    next: Next,
}

impl Taking {
    async fn part(&mut self) -> Result<Bytes, Problem> {
        let (path, is_first) = match &self.next {
            Next::First => (self.path.clone(), true),
            Next::At(token) => (format!("{}&page_token={token}", self.path), false),
            Next::Done => return Ok(Bytes::new()),
        };
        let list: List<Value> = read(self.api.send_get(&path).await?)?;
        self.next = list.next_page_token.map_or(Next::Done, Next::At);
        let is_last = matches!(self.next, Next::Done);
        Ok(match self.format {
            Format::Csv => csv(self.listing.csv, &list.items, is_first),
            Format::Json => json(&list.items, is_first, is_last),
        })
    }
}

fn json(items: &[Value], is_first: bool, is_last: bool) -> Bytes {
    let mut text = String::new();
    for (place, item) in items.iter().enumerate() {
        text.push_str(if is_first && place == 0 { "[\n" } else { ",\n" });
        text.push_str(&item.to_string());
    }
    if is_first && items.is_empty() {
        text.push('[');
    }
    if is_last {
        text.push_str("\n]\n");
    }
    text.into()
}

fn csv(columns: &[(&str, &str)], items: &[Value], is_first: bool) -> Bytes {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |line: Vec<String>| {
        // Into memory: it is always taken.
        let _ = writer.write_record(line);
    };
    if is_first {
        write(
            columns
                .iter()
                .map(|(label, _)| (*label).to_owned())
                .collect(),
        );
    }
    for item in items {
        let value = |(_, pointer): &(&str, &str)| value(item.pointer(pointer));
        write(columns.iter().map(value).collect());
    }
    writer.into_inner().unwrap_or_default().into()
}

/// A value as it stands in a CSV file. Spreadsheets take a text that begins with one of some signs for a formula: an
/// apostrophe before it keeps it a text (OWASP, CSV Injection).
fn value(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            true => format!("'{text}"),
            false => text.clone(),
        },
        Some(Value::Array(values)) => {
            let texts: Vec<String> = values.iter().map(|one| self::value(Some(one))).collect();
            texts.join(" ")
        }
        Some(other) => other.to_string(),
    }
}

impl ListPage {
    /// With this above it.
    pub fn intro(mut self, text: impl Into<String>) -> Self {
        self.intro = text.into();
        self
    }

    /// With the way to make one more, for those who may.
    pub fn make(mut self, href: &'static str, label: &'static str) -> Self {
        self.make = self.page.may_write.then_some((href, label));
        self
    }

    /// With what is said where there is none.
    pub fn empty(mut self, text: impl Into<String>) -> Self {
        self.table.empty = text.into();
        self
    }
}

impl IntoResponse for ListPage {
    fn into_response(self) -> Response {
        let status = self.problem.as_ref().map_or(200, |problem| problem.status);
        let status = axum::http::StatusCode::from_u16(status).unwrap_or_default();
        Shown(self).with(status)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_in_a_csv_file_is_a_formula() {
        let item = json!({"name": "=HYPERLINK(\"http://evil\")", "scopes": ["@a", "b"], "at": -5, "none": null});
        let columns = [
            ("name", "/name"),
            ("scopes", "/scopes"),
            ("at", "/at"),
            ("none", "/none"),
        ];
        assert_eq!(
            csv(&columns, &[item], true),
            "name,scopes,at,none\n\"'=HYPERLINK(\"\"http://evil\"\")\",'@a b,-5,\n"
        );
    }

    #[test]
    fn a_list_in_parts_is_one_array() {
        let parts = [
            json(&[json!(1), json!(2)], true, false),
            json(&[], false, false),
            json(&[json!(3)], false, true),
        ];
        let whole: Value = serde_json::from_slice(&parts.concat()).unwrap();
        assert_eq!(whole, json!([1, 2, 3]));
        let none: Value = serde_json::from_slice(&json(&[], true, true)).unwrap();
        assert_eq!(none, json!([]));
    }
}
