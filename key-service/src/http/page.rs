//! Lists on the wire: `limit` and `page_token` in, `items` and `next_page_token` out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::fields::{Fields, digits, text};
use crate::store::page::{Page, PageRequest};

const DEFAULT_LIMIT: i64 = 100;
const HIGHEST_LIMIT: i64 = 500;

/// Which part of a list to give.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "describes the query; reading it has its own rules"
)]
pub struct PageQuery {
    /// Entries at most, 1 to 500. Default 100.
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
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

/// Takes the two parameters of paging out of a query.
pub fn request(fields: &mut Fields) -> PageRequest {
    let limit = fields.optional("limit", digits(1..=HIGHEST_LIMIT));
    let after = fields.optional(
        "page_token",
        text(|token| decode(token).ok_or_else(|| "is no page_token of this service".to_owned())),
    );
    PageRequest {
        after,
        limit: usize::try_from(limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or_default(),
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
