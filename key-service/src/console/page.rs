//! What all pages have in common: title, navigation, who is signed in, and what was just done.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::assets;
use super::visit::Visit;
use crate::domain::token::Role;

/// The parts of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `/console`
    Overview,
    /// `/console/why`
    Why,
    /// `/console/my`
    My,
    /// `/console/keys`
    Keys,
    /// `/console/users`
    Users,
    /// `/console/tenants`
    Tenants,
    /// `/console/review`
    Review,
    /// `/console/approvals`
    Approvals,
    /// `/console/audit`
    Audit,
    /// `/console/tokens`
    Tokens,
}

/// A part in the navigation.
struct Entry {
    section: Section,
    href: &'static str,
    label: &'static str,
    of_developers: bool,
    of_staff: bool,
}

const fn entry(
    section: Section,
    href: &'static str,
    label: &'static str,
    (of_developers, of_staff): (bool, bool),
) -> Entry {
    Entry {
        section,
        href,
        label,
        of_developers,
        of_staff,
    }
}

const STAFF: (bool, bool) = (false, true);
const ALL: (bool, bool) = (true, true);
const DEVELOPERS: (bool, bool) = (true, false);

const NAVIGATION: [Entry; 10] = [
    entry(Section::Overview, "/console", "Overview", STAFF),
    entry(Section::My, "/console/my", "My keys", DEVELOPERS),
    entry(Section::Why, "/console/why", "Why?", ALL),
    entry(Section::Keys, "/console/keys", "Keys", STAFF),
    entry(Section::Users, "/console/users", "Users", STAFF),
    entry(Section::Tenants, "/console/tenants", "Tenants", STAFF),
    entry(Section::Review, "/console/review", "Review", STAFF),
    entry(Section::Approvals, "/console/approvals", "Approvals", STAFF),
    entry(Section::Audit, "/console/audit", "Audit log", STAFF),
    entry(Section::Tokens, "/console/tokens", "Tokens", STAFF),
];

/// A link of the navigation.
pub struct NavigationLink {
    /// Where to.
    pub href: &'static str,
    /// Its text.
    pub label: &'static str,
    /// Whether the page is of this part.
    pub is_current: bool,
}

/// Who is signed in.
pub struct SignedIn {
    /// Their name.
    pub name: String,
    /// What they are here as, and how far they see.
    pub role: String,
}

/// The frame of a page.
pub struct Page {
    /// Its title.
    pub title: String,
    /// The parts that they may see.
    pub navigation: Vec<NavigationLink>,
    /// Who is signed in, if anybody is.
    pub signed_in: Option<SignedIn>,
    /// Whether they may change what they see.
    pub may_write: bool,
    /// What was just done.
    pub notice: Option<&'static str>,
    /// Where the style sheet is.
    pub style: String,
}

impl Page {
    /// For nobody in particular.
    pub fn plain(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            navigation: Vec::new(),
            signed_in: None,
            may_write: false,
            notice: None,
            style: assets::style_link(),
        }
    }

    /// For somebody who is signed in.
    pub fn of(visit: &Visit, section: Section, title: String) -> Self {
        let is_developer = visit.role() == Role::Developer;
        let links = NAVIGATION.iter().filter(|entry| match is_developer {
            true => entry.of_developers,
            false => entry.of_staff,
        });
        let role = match (visit.user(), visit.tenant()) {
            (Some(user), _) => format!("{} {user}", visit.role().as_str()),
            (None, Some(tenant)) => format!("{} of {tenant}", visit.role().as_str()),
            (None, None) => visit.role().as_str().to_owned(),
        };
        Self {
            navigation: links
                .map(|entry| NavigationLink {
                    href: entry.href,
                    label: entry.label,
                    is_current: entry.section == section,
                })
                .collect(),
            signed_in: Some(SignedIn {
                name: visit.name().to_owned(),
                role,
            }),
            may_write: visit.may_write(),
            ..Self::plain(title)
        }
    }

    /// With what the last form has done, as [`done`] names it.
    pub fn after(mut self, word: Option<&str>) -> Self {
        self.notice = word.and_then(done);
        self
    }
}

/// What a form has done, by the word that stands in the address of the page behind it.
fn done(word: &str) -> Option<&'static str> {
    const DONE: [(&str, &str); 14] = [
        ("created", "It was made."),
        (
            "changed",
            "The change is made. Gateways know of it within milliseconds.",
        ),
        ("revoked", "It is revoked, at once and for good."),
        ("disabled", "The key is disabled. It can be enabled again."),
        ("enabled", "The key is enabled again."),
        (
            "suspended",
            "It is suspended: its keys are refused from now on.",
        ),
        (
            "deactivated",
            "The user is deactivated: its keys are refused from now on.",
        ),
        (
            "locked",
            "The user is locked: its keys are refused from now on.",
        ),
        (
            "rules",
            "The key rules are changed. Keys that are there stay as they are; the review names those that break them.",
        ),
        (
            "reactivated",
            "It is active again: its keys work from now on.",
        ),
        ("deleted", "The user is deleted for good."),
        (
            "approved",
            "The request is approved: the user has the API from now on.",
        ),
        ("denied", "The request is denied."),
        ("asked", "The request is sent. An administrator decides."),
    ];
    DONE.iter()
        .find(|(name, _)| *name == word)
        .map(|(_, text)| *text)
}

/// A page as an answer.
pub struct Shown<T>(pub T);

impl<T: Template> Shown<T> {
    /// With this status.
    pub fn with(self, status: StatusCode) -> Response {
        match self.0.render() {
            Ok(html) => {
                let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
                (status, [kind], html).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "a page could not be made");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

impl<T: Template> IntoResponse for Shown<T> {
    fn into_response(self) -> Response {
        self.with(StatusCode::OK)
    }
}
