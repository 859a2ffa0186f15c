//! What the filter does to a request on its way upstream.

mod identity;
mod reserved;

pub use identity::IdentityHeaders;
pub use reserved::Reserved;
