//! What the tests of the console's pages need of a browser: forms are sent, the cookie is kept, and no redirect is
//! followed unseen.

use key_service::domain::token::Token;

use crate::support::{Answer, Service};
use crate::visitor::Visitor;

/// Somebody who is signed in.
pub struct Browser<'a>(Visitor<'a>);

impl<'a> Browser<'a> {
    pub fn sign_in(service: &'a Service, token: &Token) -> Self {
        Self(Visitor::with(service, token))
    }

    pub fn admin(service: &'a Service) -> Self {
        Self::sign_in(service, &service.admin)
    }

    pub fn viewer(service: &'a Service) -> Self {
        Self::sign_in(service, &service.viewer)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.0.get(path)
    }

    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.0.post(path, fields)
    }

    /// A page that must be there.
    #[track_caller]
    pub fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.text
    }

    /// Sends a form that must do what it says, and gives the page that comes behind.
    #[track_caller]
    pub fn does(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.post(path, fields);
        assert_eq!(answer.status, 303, "{path}: {}", answer.text);
        self.page(answer.header("location"))
    }

    /// Sends the form of a page as it is but for these fields, as a browser would.
    pub fn fill_in(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.page(path);
        let mut sent: Vec<(String, String)> = as_shown(&page);
        for (name, value) in fields {
            sent.retain(|(other, _)| other != name);
            sent.push(((*name).to_owned(), (*value).to_owned()));
        }
        let pairs: Vec<(&str, &str)> = sent
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.post(path, &pairs)
    }
}

/// What the form of a page holds: hidden fields, lines, switches that are on and areas. What is chosen is left out.
fn as_shown(page: &str) -> Vec<(String, String)> {
    let form = page.split("<main").nth(1).unwrap();
    let mut held = Vec::new();
    for tag in form.split("<input ").skip(1) {
        let tag = tag.split('>').next().unwrap();
        let is_off = tag.contains("type=\"checkbox\"") && !tag.contains(" checked");
        if !is_off {
            held.push((attribute(tag, "name"), attribute(tag, "value")));
        }
    }
    for area in form.split("<textarea ").skip(1) {
        let (tag, rest) = area.split_once('>').unwrap();
        let text = rest.split("</textarea>").next().unwrap();
        // The first line break after the tag is no part of it, and browsers send others in their own way.
        let text = text.strip_prefix('\n').unwrap_or(text);
        held.push((
            attribute(tag, "name"),
            unescaped(text).replace('\n', "\r\n"),
        ));
    }
    held
}

fn attribute(tag: &str, name: &str) -> String {
    let begin = format!("{name}=\"");
    let value = tag.split(begin.as_str()).nth(1).unwrap_or_default();
    unescaped(value.split('"').next().unwrap())
}

fn unescaped(text: &str) -> String {
    let mut text = text.to_owned();
    for (escape, letter) in [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
    ] {
        text = text.replace(escape, letter);
    }
    text
}
