//! Lists on the wire: `limit` and `page_token` in, `items` and `next_page_token` out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::input::input;
use crate::domain::input::rules::{Text, any, digits};
use crate::store::page::{Page, PageRequest};

const DEFAULT_LIMIT: i64 = 100;
const HIGHEST_LIMIT: i64 = 500;

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
    parse: |token| decode(token).ok_or_else(|| "is no page_token of this service".to_owned()),
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
