//! What people do in more than one test: ways through the pages that take several steps.

use crate::browser::{Browser, Part};

/// A browser whose clicks are counted, because people give up after some.
#[derive(Debug)]
pub struct Counted<'a> {
    browser: &'a Browser,
    clicks: usize,
}

impl<'a> Counted<'a> {
    /// Begins at the overview, where everybody begins.
    pub async fn from_overview(browser: &'a Browser) -> Self {
        browser.open("/console").await;
        Self { browser, clicks: 0 }
    }

    /// Clicks on a link or button of the page.
    pub async fn click(&mut self, name: &str) {
        self.click_in(self.browser.page(), name).await;
    }

    /// Clicks on a link or button of a part of the page.
    pub async fn click_in(&mut self, part: Part<'_>, name: &str) {
        part.click(name).await;
        self.clicks += 1;
    }

    /// Asks why, about what somebody has at hand.
    pub async fn ask(&mut self, about: &str) {
        self.browser.fill("Why was it refused?", about).await;
        self.click("Ask why").await;
    }

    /// Fails where it took longer than people look.
    pub fn is_near(&self) {
        assert!(self.clicks <= 4, "the cause is {} clicks away", self.clicks);
    }
}

/// Fills several fields of the page's form.
pub async fn fill_in(browser: &Browser, fields: &[(&str, &str)]) {
    for (label, value) in fields {
        browser.fill(label, value).await;
    }
}

/// Makes a user of a tenant, whose page is open, and gives its id. Its page is open then.
pub async fn make_user(browser: &Browser, name: &str, kind: &str) -> String {
    browser.click("New user").await;
    browser.fill("Name", name).await;
    browser.choose("Kind", kind).await;
    browser.click("Make the user").await;
    browser.sees("It was made.").await;
    browser.fact("Id").await
}

/// Makes a key of the user whose page is open, and gives it. The page that shows it is open then.
pub async fn make_key(browser: &Browser, fields: &[(&str, &str)]) -> String {
    browser.click("New key").await;
    fill_in(browser, fields).await;
    browser.click("Make the key").await;
    key_shown(browser).await
}

/// The key that the page shows, which no other page does.
///
/// # Panics
/// When it shows none.
pub async fn key_shown(browser: &Browser) -> String {
    let text = browser.text().await;
    let mut words = text.split_whitespace();
    let key = words.find(|word| word.starts_with("kb_") && !word.contains('…'));
    key.unwrap_or_else(|| panic!("no key in {text}")).to_owned()
}

/// What a record's page says of the chain's link that breaks.
pub async fn cause(browser: &Browser, link: &str) -> String {
    let text = browser.within("The chain").within(link).text().await;
    assert!(text.contains("breaks here"), "{link}: {text}");
    text
}
