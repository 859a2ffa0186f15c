//! Lists that are sorted by what their entries hold, a page at a time. What holds nothing comes last, whichever way a list
//! is sorted; what holds the same is in the order in which it was made.

use serde::{Deserialize, Serialize};

use super::database::Store;
use super::error::StoreError;
use super::page::{Filter, Narrowing};
use super::shown::{Shown, select};
use super::sql::{Row, Statement, Value};
use crate::domain::words::word;

/// By what lists of a kind are sorted.
#[derive(Debug, PartialEq, Eq)]
pub struct SortBy {
    word: &'static str,
    compared: Compared,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// The order in which they were made.
    Place,
    /// A text, without the case of its letters.
    Text(&'static str),
    /// A number.
    Number(&'static str),
}

impl Compared {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Place => None,
            Self::Text(column) | Self::Number(column) => Some(column),
        }
    }
}

const CREATED: SortBy = SortBy {
    word: "created",
    compared: Compared::Place,
};

/// By what tenants are sorted.
pub static TENANTS: [SortBy; 2] = [CREATED, text("name", "lower(tenants.name)")];

/// By what users are sorted.
pub static USERS: [SortBy; 3] = [
    CREATED,
    text("name", "lower(users.name)"),
    text("login", "users.login_key"),
];

/// By what keys are sorted.
pub static KEYS: [SortBy; 4] = [
    CREATED,
    text("name", "lower(keys.name)"),
    number("last_used", "key_last_use.at"),
    number("expires", "keys.expires_at"),
];

const fn text(word: &'static str, column: &'static str) -> SortBy {
    SortBy {
        word,
        compared: Compared::Text(column),
    }
}

const fn number(word: &'static str, column: &'static str) -> SortBy {
    SortBy {
        word,
        compared: Compared::Number(column),
    }
}

/// How a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    by: &'static SortBy,
    descending: bool,
}

impl Sort {
    /// In the order in which they were made.
    pub const CREATED: Self = Self {
        by: &CREATED,
        descending: false,
    };

    /// All ways to sort a list of this kind, by their words.
    pub fn all(of: &'static [SortBy]) -> Vec<(String, Self)> {
        let ways = of
            .iter()
            .flat_map(|by| [false, true].map(|descending| Self { by, descending }));
        ways.map(|sort| (sort.word(), sort)).collect()
    }

    /// Reads a word such as `name`, or `-name` for the other way round.
    pub fn parse(text: &str, of: &'static [SortBy]) -> Result<Self, String> {
        let ways = Self::all(of);
        let words: Vec<_> = ways
            .iter()
            .map(|(word, way)| (word.as_str(), *way))
            .collect();
        word(text, &words)
    }

    /// Its word.
    pub fn word(self) -> String {
        let before = if self.descending { "-" } else { "" };
        format!("{before}{}", self.by.word)
    }

    /// Whether an entry of a list that is sorted so can be the last of its page.
    pub fn holds(self, last: &Last) -> bool {
        let fits = match (self.by.compared, &last.value) {
            (Compared::Text(_), Some(Held::Text(text))) => !text.contains('\0'),
            (Compared::Number(_), Some(Held::Number(_))) | (_, None) => true,
            _ => false,
        };
        fits && last.sort == self.word()
    }
}

/// What an entry is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Held {
    Text(String),
    Number(i64),
}

impl From<Option<Held>> for Value {
    fn from(held: Option<Held>) -> Self {
        match held {
            Some(Held::Text(text)) => text.into(),
            Some(Held::Number(number)) => number.into(),
            None => Self::Text(None),
        }
    }
}

/// The last entry of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// The word of how the list is sorted.
    sort: String,
    place: i64,
    /// What it is sorted by.
    value: Option<Held>,
}

/// Which part of a sorted list to give.
#[derive(Debug, Clone)]
pub struct SortedRequest {
    /// How it is sorted.
    pub sort: Sort,
    /// The last entry of the page before.
    pub after: Option<Last>,
    /// Entries at most.
    pub limit: usize,
}

/// A part of a sorted list.
#[derive(Debug)]
pub struct SortedPage<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What the next page comes after; none where this is the last.
    pub next: Option<Last>,
}

impl Store {
    /// A page of the records that this lets through.
    pub async fn sorted<F: Filter>(
        &self,
        filter: &F,
        page: SortedRequest,
    ) -> Result<SortedPage<F::Item>, StoreError> {
        let SortedRequest { sort, after, limit } = page;
        let reading = Reading {
            store: self,
            filter,
            sort,
        };
        let mut entries = reading.entries(after, limit.saturating_add(1)).await?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries
            .last()
            .filter(|_| more)
            .map(|(last, _)| last.clone());
        Ok(SortedPage {
            items: entries.into_iter().map(|(_, item)| item).collect(),
            next,
        })
    }
}

struct Reading<'a, F> {
    store: &'a Store,
    filter: &'a F,
    sort: Sort,
}

type Entries<F> = Vec<(Last, <F as Filter>::Item)>;

impl<F: Filter> Reading<'_, F> {
    async fn entries(&self, after: Option<Last>, wanted: usize) -> Result<Entries<F>, StoreError> {
        let Some(column) = self.sort.by.compared.column() else {
            let after = after.map(|last| last.place);
            return self.by_place(None, after, wanted).await;
        };
        let (mut entries, after) = match after {
            // All that hold something came before.
            Some(last) if last.value.is_none() => (Vec::new(), Some(last.place)),
            after => (self.holding(column, after, wanted).await?, None),
        };
        let left = wanted.saturating_sub(entries.len());
        if left > 0 {
            entries.extend(self.by_place(Some(column), after, left).await?);
        }
        Ok(entries)
    }

    /// Those whose column holds something.
    async fn holding(
        &self,
        column: &str,
        after: Option<Last>,
        wanted: usize,
    ) -> Result<Entries<F>, StoreError> {
        let place = F::Item::place();
        let (follows, down) = self.way();
        let mut sql = select::<F::Item>(&format!("{column} AS sorted_by, {place} AS place, "));
        sql.push(column).push(" IS NOT NULL");
        if let Some(Last {
            place: at, value, ..
        }) = after
        {
            sql.push(&format!(" AND ({column}, {place}) {follows} ("));
            sql.push_bind(value).push(", ").push_bind(at).push(")");
        }
        // The index gives them in order, and each row from another place: all rows are read faster one after the other.
        let order = match (self.filter.looks_at_all(), self.sort.by.compared) {
            (true, Compared::Text(_)) => format!("{column} || ''{down}, {place}{down}"),
            (true, _) => format!("{column} + 0{down}, {place}{down}"),
            _ => format!("{column}{down}, {place}{down}"),
        };
        self.fetch(sql, &order, wanted).await
    }

    /// All in the order in which they were made, or those whose column holds nothing.
    async fn by_place(
        &self,
        column: Option<&str>,
        after: Option<i64>,
        wanted: usize,
    ) -> Result<Entries<F>, StoreError> {
        let place = F::Item::place();
        let (follows, down) = self.way();
        let held = column.map(|column| format!("{column} AS sorted_by, "));
        let held = held.unwrap_or_default();
        let mut sql = select::<F::Item>(&format!("{held}{place} AS place, "));
        match column {
            Some(column) => sql.push(column).push(" IS NULL"),
            None => sql.push("true"),
        };
        if let Some(after) = after {
            sql.push(&format!(" AND {place} {follows} "))
                .push_bind(after);
        }
        self.fetch(sql, &format!("{place}{down}"), wanted).await
    }

    fn way(&self) -> (&'static str, &'static str) {
        match self.sort.descending {
            true => ("<", " DESC"),
            false => (">", ""),
        }
    }

    async fn fetch(
        &self,
        sql: Statement,
        order: &str,
        wanted: usize,
    ) -> Result<Entries<F>, StoreError> {
        let mut list = Narrowing::of(sql);
        self.filter.narrow(&mut list);
        let mut sql = list.into_statement();
        sql.push(" ORDER BY ").push(order).push(" LIMIT ");
        sql.push_bind(i64::try_from(wanted).unwrap_or(i64::MAX));
        let rows = sql.fetch_all(&self.store.readers).await?;
        rows.iter().map(|row| self.entry(row)).collect()
    }

    fn entry(&self, row: &Row) -> Result<(Last, F::Item), StoreError> {
        let value = match self.sort.by.compared {
            Compared::Place => None,
            Compared::Text(_) => row.get::<Option<String>>("sorted_by")?.map(Held::Text),
            Compared::Number(_) => row.get::<Option<i64>>("sorted_by")?.map(Held::Number),
        };
        let last = Last {
            sort: self.sort.word(),
            place: row.get("place")?,
            value,
        };
        Ok((last, F::Item::of_row(row)?))
    }
}
