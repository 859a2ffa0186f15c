//! The table of what callers send: what it is to the program, and how it is written.

use utoipa::openapi::{RefOr, Schema};

use super::description::Description;
use super::fields::Fields;

/// Schemas by their names, as OpenAPI has them.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// A body or a query, or a part of one. Made by `input!`.
pub trait Input: Sized {
    /// What it is, line by line.
    const ABOUT: &'static [&'static str];

    /// Whether callers may send fields that are not known here, as newer gateways do.
    const EXTENSIBLE: bool;

    /// Reads its fields. None only where something wrong was noted.
    fn fields(fields: &mut Fields) -> Option<Self>;

    /// Describes its fields.
    fn describe(description: &mut Description);
}

/// Describes what callers send: a struct, of which each field says how it is given (a method of [`Fields`]) and
/// what may stand in it (one of `rules.rs`), with an example where that helps. The comments are what the API's
/// description tells of it.
macro_rules! input {
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:path),+ $(,)?)])?
        $(@$extensible:ident)?
        $name:ident { $(
            $(#[doc = $doc:literal])*
            $field:ident: $type:ty = $how:ident($rule:expr $(; $example:expr)?),
        )+ }
    ) => {
        $(#[doc = $about])*
        $(#[derive($($derive),+)])?
        pub struct $name { $($(#[doc = $doc])* pub $field: $type,)+ }

        impl $crate::domain::input::Input for $name {
            const ABOUT: &'static [&'static str] = &[$($about),*];
            const EXTENSIBLE: bool = $crate::domain::input::is_given!($($extensible)?);

            fn fields(fields: &mut $crate::domain::input::Fields) -> Option<Self> {
                // All of them before the first that is missing: what is wrong is told at once.
                $(let $field = fields.$how(stringify!($field), &$rule);)+
                Some(Self { $($field: $field?,)+ })
            }

            fn describe(description: &mut $crate::domain::input::Description) {
                $(
                    description.$how(stringify!($field), &$rule, &[$($doc),*]);
                    $(description.example($example.into());)?
                )+
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::domain::input::body::<Self>()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn schemas(schemas: &mut $crate::domain::input::Schemas) {
                $crate::domain::input::referenced::<Self>(schemas);
            }
        }

        impl utoipa::IntoParams for $name {
            fn into_params(
                _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
            ) -> Vec<utoipa::openapi::path::Parameter> {
                $crate::domain::input::parameters::<Self>()
            }
        }
    };
}

/// Whether there is anything in it.
macro_rules! is_given {
    () => {
        false
    };
    ($what:ident) => {
        true
    };
}
pub(crate) use {input, is_given};
