//! Every field of the configuration and its default: the one list from which texts are read, unknown fields
//! are recognised, and the completeness of `docs/configuration.md` is tested.

/// A member that an object may have.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is where it is not given, as JSON; `None`: it must be given.
    pub(super) default: Option<&'static str>,
    /// What stands in it.
    pub(super) shape: Shape,
}

/// What stands in a field.
#[derive(Debug)]
pub(super) enum Shape {
    /// Text, a number, a boolean, or a list of those.
    Plain,
    /// An object with these members.
    Object(&'static [Field]),
    /// A list of this.
    List(&'static Shape),
    /// An object whose names are free and whose members are this.
    Named(&'static Shape),
}

impl Field {
    const fn required(name: &'static str) -> Self {
        Self {
            name,
            default: None,
            shape: Shape::Plain,
        }
    }

    /// A field that has no value where it is not given; `null` says the same.
    const fn optional(name: &'static str) -> Self {
        Self::or(name, "null")
    }

    const fn or(name: &'static str, default: &'static str) -> Self {
        Self {
            name,
            default: Some(default),
            shape: Shape::Plain,
        }
    }

    const fn holding(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }
}

/// The whole configuration.
pub(super) static CONFIGURATION: Shape = Shape::Object(&[
    Field::required("key_service").holding(Shape::Object(&[
        Field::required("cluster"),
        Field::optional("authority"),
        Field::or("path", r#""/v1""#),
        Field::optional("token"),
        Field::optional("token_env"),
        Field::or("timeout", r#""500ms""#),
        Field::or("changes", "{}").holding(Shape::Object(&[
            Field::or("enabled", "true"),
            Field::or("wait", r#""20s""#),
        ])),
    ])),
    Field::or("credentials", r#"[{"header": "x-api-key"}]"#).holding(Shape::List(&Shape::Object(
        &[
            Field::optional("header"),
            Field::optional("scheme"),
            Field::optional("bearer"),
            Field::optional("basic"),
            Field::optional("query"),
            Field::optional("cookie"),
        ],
    ))),
    Field::optional("key_format").holding(Shape::Object(&[
        Field::optional("prefixes"),
        Field::or("checksum", r#""none""#),
        Field::or("min_length", "1"),
        Field::or("max_length", "512"),
        Field::or("foreign", r#""refuse""#),
    ])),
    Field::or("digest", "{}").holding(Shape::Object(&[Field::optional("pepper_env")])),
    Field::or("strip_credential", "true"),
    Field::or("internal_redirects", "false"),
    Field::or("guarded_routes", "false"),
    Field::or("identity_headers", "{}").holding(Shape::Object(&[
        Field::or("key_id", r#""x-key-id""#),
        Field::or("user_id", r#""x-user-id""#),
        Field::or("tenant_id", r#""x-tenant-id""#),
        Field::or("scopes", r#""x-key-scopes""#),
        Field::optional("environment"),
    ])),
    Field::or("policies", "{}").holding(Shape::Named(&POLICY)),
    Field::or("routes", "[]").holding(Shape::List(&Shape::Object(&[
        Field::required("match").holding(Shape::Object(&[
            Field::optional("path"),
            Field::optional("prefix"),
            Field::optional("methods"),
            Field::optional("hosts"),
        ])),
        Field::required("policy"),
    ]))),
    Field::or("default_policy", r#"{"authentication": "required"}"#).holding(POLICY),
    Field::or("enforcement", r#""enforce""#),
    Field::or("preflight", r#""pass""#),
    Field::or("unavailable", r#""deny""#),
    Field::or("rejection", "{}").holding(Shape::Object(&[
        Field::or("detail", r#""precise""#),
        Field::or("realm", r#""api""#),
        Field::optional("type_base"),
        Field::or("retry_after", r#""1s""#),
    ])),
    Field::or("freshness", "{}").holding(Shape::Object(&[
        Field::or("fresh_for", r#""60s""#),
        Field::or("max_staleness", r#""5m""#),
        Field::or("negative_for", r#""5s""#),
    ])),
    Field::or("warn_before", r#""7d""#),
    Field::or("limits", "{}").holding(Shape::Object(&[
        Field::or("local_entries", "10000"),
        Field::or("local_bytes", r#""64MiB""#),
        Field::or("shared_entries", "100000"),
        Field::or("waiting_requests", "1000"),
        Field::or("lookups_in_flight", "8"),
    ])),
    Field::or("usage", "{}").holding(Shape::Object(&[
        Field::or("enabled", "true"),
        Field::or("every", r#""10s""#),
    ])),
]);

const POLICY: Shape = Shape::Object(&[
    Field::or("authentication", r#""required""#),
    Field::optional("environment"),
    Field::optional("api"),
    Field::optional("scopes").holding(Shape::Object(&[
        Field::optional("all"),
        Field::optional("any"),
    ])),
    Field::optional("user").holding(STATEMENT),
    Field::optional("tenant").holding(STATEMENT),
]);

const STATEMENT: Shape = Shape::Object(&[
    Field::optional("header"),
    Field::optional("path_segment"),
    Field::optional("query"),
    Field::optional("host_label"),
    Field::optional("value"),
]);
