//! How a page is looked at: on which screen, how near, in which light; and pictures of it.

use super::Browser;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use support::paths;

/// A window, in the pixels of a style sheet.
#[derive(Clone, Copy, Debug)]
pub struct View {
    name: &'static str,
    width: u32,
    height: u32,
    /// How many pixels of the screen one of the style sheet is wide.
    scale: u32,
    telephone: bool,
}

/// A desk's screen.
pub const WIDE: View = View {
    name: "wide",
    width: 1280,
    height: 900,
    scale: 1,
    telephone: false,
};
/// The same at 200 %: half as much has room, twice as large.
pub const ZOOMED: View = View {
    name: "zoomed",
    width: 640,
    height: 450,
    scale: 2,
    telephone: false,
};
/// A telephone.
pub const NARROW: View = View {
    name: "narrow",
    width: 390,
    height: 844,
    scale: 2,
    telephone: true,
};

/// What pictures of the documentation show.
const PICTURED: View = View {
    name: "pictured",
    width: 1280,
    height: 1000,
    scale: 1,
    telephone: false,
};

/// By day; what a browser says that was never told.
pub const LIGHT: &str = "light";
/// By night.
pub const DARK: &str = "dark";

impl Browser {
    /// Looks at this page, and those to come, in another window.
    pub async fn view(&self, view: View) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({
                "width": view.width, "height": view.height,
                "deviceScaleFactor": view.scale, "mobile": view.telephone,
            }),
        )
        .await;
    }

    /// Prefers pages that are [`LIGHT`] or [`DARK`], this one and those to come.
    pub async fn prefers(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}))
            .await;
    }

    /// Whether a media query of a style sheet holds.
    pub async fn matches(&self, query: &str) -> bool {
        self.look("matches", &[], vec![json!(query)]).await == true
    }

    /// Looks at the page in every window, and fails where it is wider than that one.
    pub async fn fits_everywhere(&self) {
        for view in [WIDE, ZOOMED, NARROW] {
            self.view(view).await;
            let over = self.look("overflow", &[], vec![json!(view.width)]).await;
            if over.as_i64().is_none_or(|pixels| pixels > 0) {
                let why = format!(
                    "the page is {over} pixels wider than a {} window",
                    view.name
                );
                self.fail(&why).await;
            }
        }
        self.view(WIDE).await;
    }

    /// A picture of what the window shows, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        self.photograph(false).await
    }

    /// A picture of the whole page, however long it is.
    pub async fn whole_picture(&self) -> Vec<u8> {
        self.photograph(true).await
    }

    async fn photograph(&self, whole: bool) -> Vec<u8> {
        let wanted = json!({"format": "png", "captureBeyondViewport": whole});
        let picture = self.devtools("Page.captureScreenshot", wanted).await;
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap_or_default());
        self.must("take a picture", bytes).await
    }

    /// Takes a picture of the page's upper part for the documentation, and fails where it is too large for that. With
    /// `make screenshots` it goes to `docs/pictures/`, else below `target/`.
    pub async fn documents(&self, name: &str) -> PathBuf {
        /// Readers on a slow line wait for it, and every version of it stays in the history.
        const LARGEST: usize = 150_000;
        let hidden = json!({"hidden": true});
        self.devtools("Emulation.setScrollbarsHidden", hidden).await;
        self.view(PICTURED).await;
        let picture = self.picture().await;
        self.view(WIDE).await;
        assert!(
            picture.len() < LARGEST,
            "{name} is {} bytes large",
            picture.len()
        );
        let folder = match std::env::var_os("KEYBOUND_PICTURES") {
            Some(folder) if !folder.is_empty() => paths::root().join(folder),
            _ => paths::target().join("tests/browser/pictures"),
        };
        let path = folder.join(format!("console-{name}.png"));
        let written = write(&path, &picture);
        self.must("keep a picture", written).await;
        path
    }
}

impl Browser {
    /// Keeps a picture of the whole page below `target/`, for whoever wants to see it in this window and light.
    pub async fn keeps(&self, name: &str) {
        let picture = self.whole_picture().await;
        let path = paths::target().join(format!("tests/browser/pictures/console-{name}.png"));
        let written = write(&path, &picture);
        self.must("keep a picture", written).await;
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}
