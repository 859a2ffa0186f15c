//! What the filter does to a request on its way upstream.

mod identity;
mod reserved;

pub use identity::IdentityHeaders;
pub use reserved::Reserved;

/// A request whose headers can be edited. Names are lower case.
pub trait EditRequest {
    /// Gives a header this one value, whatever it had before.
    fn set(&mut self, name: &str, value: &[u8]);
    /// Adds a header, beside others of its name.
    fn add(&mut self, name: &str, value: &[u8]);
    /// Removes every header of a name.
    fn remove(&mut self, name: &str);
}

/// A list of headers or trailers from which some can be removed, and nothing else.
pub trait RemoveHeader {
    /// Removes everything of a name.
    fn remove(&mut self, name: &str);
}

/// A plain header list can be edited too: this is what tests and the simulation look at.
impl EditRequest for Vec<(String, Vec<u8>)> {
    fn set(&mut self, name: &str, value: &[u8]) {
        EditRequest::remove(self, name);
        self.add(name, value);
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.push((name.to_owned(), value.to_vec()));
    }

    fn remove(&mut self, name: &str) {
        self.retain(|(known, _)| known != name);
    }
}
