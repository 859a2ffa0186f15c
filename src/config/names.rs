//! Forms that texts of the configuration must have.

/// A form and how it is described to whoever got it wrong: "must be …".
pub(super) struct Form {
    holds: fn(&str) -> bool,
    description: &'static str,
}

impl Form {
    /// A form.
    pub(super) const fn new(holds: fn(&str) -> bool, description: &'static str) -> Self {
        Self { holds, description }
    }

    /// Whether a text has this form.
    pub(super) fn holds(&self, text: &str) -> bool {
        (self.holds)(text)
    }

    /// What a text of this form is.
    pub(super) const fn description(&self) -> &'static str {
        self.description
    }
}

/// Any text but none.
pub(super) const NOT_EMPTY: Form = Form::new(|text| !text.is_empty(), "text that is not empty");

/// RFC 9110 section 5.1; pseudo-headers such as `:path` are none.
pub(super) const HEADER_NAME: Form = Form::new(
    is_token,
    "the name of a header: letters, digits and any of !#$%&'*+-.^_`|~",
);

/// RFC 6265 section 4.1.1.
pub(super) const COOKIE_NAME: Form = Form::new(
    is_token,
    "the name of a cookie: letters, digits and any of !#$%&'*+-.^_`|~",
);

/// RFC 9110 section 11.1.
pub(super) const SCHEME: Form = Form::new(
    is_token,
    "an authentication scheme: one word, such as \"ApiKey\"",
);

/// RFC 9110 section 9.1.
pub(super) const METHOD: Form = Form::new(is_token, "a method: one word, such as \"GET\"");

/// What can stand in a header and has no space in it.
pub(super) const VISIBLE: Form = Form::new(
    is_visible,
    "visible ASCII without spaces, at least one character",
);

/// What can be quoted in a header.
pub(super) const PRINTABLE: Form = Form::new(
    |text| text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
    "printable ASCII",
);

/// A path without query, as Envoy hands it over.
pub(super) const PATH: Form = Form::new(
    |text| text.starts_with('/') && is_visible(text) && !text.contains(['?', '#']),
    "a path that starts with \"/\": visible ASCII (anything else percent-encoded) without \
                  \"?\" and \"#\"",
);

/// What a shell takes as the name of a variable.
pub(super) const VARIABLE: Form = Form::new(
    |text| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && text.starts_with(|first: char| !first.is_ascii_digit())
    },
    "the name of an environment variable: letters, digits and \"_\", no digit first",
);

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
