//! Who somebody is, by OpenID Connect: the provider that vouches for them, and the file that says who is what.

mod provider;
mod roles;

pub use provider::{Flow, NotVouched, Provider, said};
pub use roles::{Claims, Roles};
