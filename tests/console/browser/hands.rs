//! What a person does with a page and reads on it: on the whole page, or in a part of it.

use super::{Browser, PAGE, strings};
use fantoccini::elements::{Element, ElementRef};
use fantoccini::key::Key;
use serde_json::{Value, json};
use support::failure::Failure;
use support::wait;

/// The name by which WebDriver passes an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A part of the page, by its heading, caption, legend, summary or label; a row of a table by the text of one of its
/// cells.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    browser: &'a Browser,
    names: Vec<&'a str>,
}

/// A table as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The names of the columns.
    pub head: Vec<String>,
    /// The cells of each row.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The cells of a column, from top to bottom.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn column(&self, name: &str) -> Vec<&str> {
        let place = self.head.iter().position(|head| head == name);
        let place = place.unwrap_or_else(|| panic!("no column {name} in {self:#?}"));
        let cells = self.rows.iter().filter_map(|row| row.get(place));
        cells.map(String::as_str).collect()
    }
}

impl Browser {
    /// The whole page.
    pub fn page(&self) -> Part<'_> {
        Part {
            browser: self,
            names: Vec::new(),
        }
    }

    /// A part of it.
    pub fn within<'a>(&'a self, name: &'a str) -> Part<'a> {
        self.page().within(name)
    }

    /// Clicks on a link or button, and waits for the page to which it leads.
    pub async fn click(&self, name: &str) {
        self.page().click(name).await;
    }

    /// Writes into a field in place of what was there.
    pub async fn fill(&self, label: &str, value: &str) {
        self.page().fill(label, value).await;
    }

    /// Takes one of the choices of a list or of a group of round buttons.
    pub async fn choose(&self, label: &str, choice: &str) {
        self.page().choose(label, choice).await;
    }

    /// Sets or clears a box.
    pub async fn tick(&self, label: &str, ticked: bool) {
        self.page().tick(label, ticked).await;
    }

    /// What the page says.
    pub async fn text(&self) -> String {
        self.page().text().await
    }

    /// Fails unless the page says this.
    pub async fn sees(&self, text: &str) {
        self.page().sees(text).await;
    }

    /// Fails if the page says this.
    pub async fn sees_no(&self, text: &str) {
        self.page().sees_no(text).await;
    }

    /// Whether the page has a link or button of this name.
    pub async fn offers(&self, name: &str) -> bool {
        self.page().offers(name).await
    }

    /// The only table of the page.
    pub async fn table(&self) -> Table {
        self.page().table().await
    }

    /// What the page says beside a term.
    pub async fn fact(&self, term: &str) -> String {
        self.page().fact(term).await
    }

    /// Presses a key, or types what is given, where the focus is.
    pub async fn press(&self, keys: &str) {
        let active = self.client.active_element().await;
        let active = self.must("find the focus", active).await;
        self.must("press a key", active.send_keys(keys).await).await;
    }

    /// Presses Enter where that leads to another page, and waits for it.
    pub async fn enter(&self) {
        let before = self.born().await;
        self.press(&Key::Enter.to_string()).await;
        self.arrives(before).await;
    }

    /// What tells this page from the one before and the next, once it is whole.
    async fn born(&self) -> f64 {
        let born = self.client.execute(PAGE, vec![json!("born"), json!([])]);
        // Between two pages there is nobody to ask.
        born.await
            .ok()
            .and_then(|born| born.as_f64())
            .unwrap_or(0.0)
    }

    /// Waits for another page than the one that was there. The driver does so too, but not for every page of another
    /// host.
    async fn arrives(&self, before: f64) {
        let arrived = wait::until("another page", async || match self.born().await {
            born if born != 0.0 && born != before => Ok(()),
            _ => Err("the same".to_owned()),
        });
        if let Err(error) = arrived.await {
            self.fail(&error.to_string()).await;
        }
    }

    /// Presses the tabulator, and gives the name of what then has the focus.
    pub async fn tab(&self) -> String {
        self.press(&Key::Tab.to_string()).await;
        let name = self.look("focused", &[], vec![]).await;
        name.as_str().unwrap_or_default().to_owned()
    }
}

impl<'a> Part<'a> {
    /// A part of this part.
    #[must_use]
    pub fn within(mut self, name: &'a str) -> Self {
        self.names.push(name);
        self
    }

    /// See [`Browser::click`].
    pub async fn click(&self, name: &str) {
        let element = self.find("clickable", &[name]).await;
        let leads = self.look("leads", &[name]).await == true;
        let before = self.browser.born().await;
        self.browser
            .must(&format!("click on {name:?}"), element.click().await)
            .await;
        if leads {
            self.browser.arrives(before).await;
        }
    }

    /// See [`Browser::fill`].
    pub async fn fill(&self, label: &str, value: &str) {
        let kind = self.look("type", &[label]).await;
        let kind = kind.as_str().unwrap_or_default();
        // How such a field is typed into depends on the language of the browser.
        if ["date", "time", "datetime-local", "month", "week"].contains(&kind) {
            let set = self.look("set", &[label, value]).await;
            if set != value {
                let why = format!("{label:?} does not take {value:?}: {set}");
                self.browser.fail(&why).await;
            }
            return;
        }
        let field = self.find("control", &[label]).await;
        self.browser
            .must(&format!("empty {label:?}"), field.clear().await)
            .await;
        self.browser
            .must(&format!("fill {label:?}"), field.send_keys(value).await)
            .await;
    }

    /// See [`Browser::choose`].
    pub async fn choose(&self, label: &str, choice: &str) {
        let option = self.find("option", &[label, choice]).await;
        self.browser
            .must(&format!("choose {choice:?}"), option.click().await)
            .await;
    }

    /// See [`Browser::tick`].
    pub async fn tick(&self, label: &str, ticked: bool) {
        if self.look("isTicked", &[label]).await != json!(ticked) {
            let field = self.find("control", &[label]).await;
            self.browser
                .must(&format!("tick {label:?}"), field.click().await)
                .await;
        }
    }

    /// What is in a field.
    pub async fn value(&self, label: &str) -> String {
        self.word("value", &[label]).await
    }

    /// What this part says.
    pub async fn text(&self) -> String {
        self.word("text", &[]).await
    }

    /// See [`Browser::sees`].
    pub async fn sees(&self, text: &str) {
        if !self.text().await.contains(text) {
            let why = format!("{text:?} is not there{}", self.place());
            self.browser.fail(&why).await;
        }
    }

    /// See [`Browser::sees_no`].
    pub async fn sees_no(&self, text: &str) {
        if self.text().await.contains(text) {
            let why = format!("{text:?} is there{}", self.place());
            self.browser.fail(&why).await;
        }
    }

    /// The names of all links and buttons.
    pub async fn offered(&self) -> Vec<String> {
        strings(&self.look("clickables", &[]).await)
    }

    /// See [`Browser::offers`].
    pub async fn offers(&self, name: &str) -> bool {
        self.offered().await.iter().any(|offered| offered == name)
    }

    /// The labels of all fields.
    pub async fn fields(&self) -> Vec<String> {
        strings(&self.look("controls", &[]).await)
    }

    /// The only table.
    pub async fn table(&self) -> Table {
        let table = self.look("table", &[]).await;
        let rows = table["rows"].as_array().into_iter().flatten();
        Table {
            head: strings(&table["head"]),
            rows: rows.map(strings).collect(),
        }
    }

    /// See [`Browser::fact`].
    pub async fn fact(&self, term: &str) -> String {
        self.word("fact", &[term]).await
    }

    fn place(&self) -> String {
        let names = self.names.iter().map(|name| format!(" in {name:?}"));
        names.rev().collect()
    }

    async fn look(&self, operation: &str, words: &[&str]) -> Value {
        let words = words.iter().map(|word| json!(word)).collect();
        self.browser.look(operation, &self.names, words).await
    }

    async fn word(&self, operation: &str, words: &[&str]) -> String {
        let found = self.look(operation, words).await;
        found.as_str().unwrap_or_default().to_owned()
    }

    async fn find(&self, operation: &str, words: &[&str]) -> Element {
        let found = self.look(operation, words).await;
        let id = found[ELEMENT].as_str().map(str::to_owned);
        let id = id.ok_or_else(|| Failure::new(format!("no element: {found}")));
        let id = self.browser.must("find it", id).await;
        Element::from_element_id(self.browser.client.clone(), ElementRef::from(id))
    }
}
