//! Lists on the wire: `limit` and `page_token` in, `items` and `next_page_token` out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::domain::input::input;
use crate::domain::input::rules::{Text, any, digits};
use crate::domain::refusal::Refusal;
use crate::store::page::{Page, PageRequest};
use crate::store::sorted::{Last, Sort, SortBy, SortedPage, SortedRequest};

const DEFAULT_LIMIT: i64 = 100;
const HIGHEST_LIMIT: i64 = 500;
const NO_TOKEN: &str = "is no page_token of this service";

input! {
    /// Which part of a list to give.
    PageQuery {
        /// Entries at most, 1 to 500. Default 100.
        limit: Option<i64> = optional(digits(1, HIGHEST_LIMIT)),
        /// `next_page_token` of the page before.
        page_token: Option<i64> = optional(PAGE_TOKEN),
    }
}

/// The place of the last entry of the page before.
pub const PAGE_TOKEN: Text<i64> = Text {
    parse: |token| decode(token).ok_or_else(|| NO_TOKEN.to_owned()),
    bounds: any,
};

impl From<PageQuery> for PageRequest {
    fn from(query: PageQuery) -> Self {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        Self {
            after: query.page_token,
            limit: usize::try_from(limit).unwrap_or_default(),
        }
    }
}

input! {
    /// Which part of a sorted list to give.
    SortedPageQuery {
        /// Entries at most, 1 to 500. Default 100.
        limit: Option<i64> = optional(digits(1, HIGHEST_LIMIT)),
        /// `next_page_token` of the page before, of a list that is sorted the same way.
        page_token: Option<Last> = optional(SORTED_PAGE_TOKEN),
    }
}

/// The last entry of the page before.
const SORTED_PAGE_TOKEN: Text<Last> = Text {
    parse: |token| {
        let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        serde_json::from_slice(&bytes).map_err(|_| NO_TOKEN.to_owned())
    },
    bounds: any,
};

impl SortedPageQuery {
    /// Which part of a list that is sorted so; by the order in which its entries were made, where nothing is said.
    pub fn of(self, sort: Option<Sort>) -> Result<SortedRequest, Refusal> {
        let sort = sort.unwrap_or(Sort::CREATED);
        if self
            .page_token
            .as_ref()
            .is_some_and(|last| !sort.holds(last))
        {
            let wrong = "is of a list that is sorted in another way: begin with its first page";
            return Err(Refusal::field("page_token", wrong));
        }
        let limit = usize::try_from(self.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or_default();
        Ok(SortedRequest {
            sort,
            after: self.page_token,
            limit,
        })
    }
}

/// The words by which a list of this kind is sorted.
pub fn sort_words(of: &'static [SortBy]) -> Value {
    let words: Vec<String> = Sort::all(of).into_iter().map(|(word, _)| word).collect();
    json!({"enum": words})
}

/// A part of a list.
#[derive(Serialize, ToSchema)]
pub struct List<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to send as `page_token` for the next part; null at the end.
    pub next_page_token: Option<String>,
}

impl<T> From<Page<T>> for List<T> {
    fn from(page: Page<T>) -> Self {
        Self {
            items: page.items,
            next_page_token: page.next.map(encode),
        }
    }
}

impl<T> From<SortedPage<T>> for List<T> {
    fn from(page: SortedPage<T>) -> Self {
        let token =
            |last: Last| serde_json::to_vec(&last).map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        Self {
            items: page.items,
            next_page_token: page.next.and_then(|last| token(last).ok()),
        }
    }
}

// Encoded only so that nobody calculates with it.
fn encode(place: i64) -> String {
    URL_SAFE_NO_PAD.encode(format!("after:{place}"))
}

fn decode(token: &str) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    std::str::from_utf8(&bytes)
        .ok()?
        .strip_prefix("after:")?
        .parse()
        .ok()
}
