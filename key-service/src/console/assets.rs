//! The style sheet and the icon. They come with the program: nothing is fetched from another host.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

/// Where the style sheet is.
pub const STYLE: &str = "/console/style.css";
/// Where the icon is.
pub const ICON: &str = "/console/icon.svg";

const STYLE_TEXT: &str = include_str!("../../assets/style.css");
const ICON_TEXT: &str = include_str!("../../assets/icon.svg");

/// Another version of the style sheet has another address, so that browsers keep each for long.
static STYLE_LINK: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::digest(STYLE_TEXT.as_bytes());
    let version: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{STYLE}?v={version}")
});

/// The address of the style sheet of this version.
pub fn style_link() -> String {
    STYLE_LINK.clone()
}

/// Whether something else than a page is asked for.
pub fn is_one(path: &str) -> bool {
    path == STYLE || path == ICON
}

/// The style sheet.
pub async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE_TEXT)
}

/// The icon.
pub async fn icon() -> Response {
    asset("image/svg+xml", ICON_TEXT)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let kept = (header::CACHE_CONTROL, "public, max-age=604800");
    ([(header::CONTENT_TYPE, kind), kept], text).into_response()
}
