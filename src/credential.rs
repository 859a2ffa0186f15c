//! Where a credential is, what it must look like, and how it is removed.

/// A place of the request that may hold a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The raw value of a header; the name is lower case.
    Header(String),
    /// A header whose value is an authentication scheme and the credential (RFC 9110 section 11.4); the
    /// scheme is compared in any case.
    Scheme {
        /// Name of the header, lower case.
        header: String,
        /// Name of the scheme, as configured; `Bearer` for a bearer location.
        scheme: String,
    },
    /// A query parameter, percent-decoded.
    Query(String),
    /// A cookie.
    Cookie(String),
}

/// What a credential must look like to be looked up at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFormat {
    /// It must start with one of these; an empty list allows any start.
    pub prefixes: Vec<String>,
    /// How it proves that it was not mistyped.
    pub checksum: Checksum,
    /// Fewest bytes.
    pub min_length: usize,
    /// Most bytes.
    pub max_length: usize,
}

impl Default for KeyFormat {
    fn default() -> Self {
        Self {
            prefixes: Vec::new(),
            checksum: Checksum::None,
            min_length: 1,
            max_length: 512,
        }
    }
}

/// How a credential proves that it was not mistyped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Not at all.
    None,
    /// The last six characters are the base62 CRC-32 (IEEE 802.3) of everything before them.
    Crc32,
}
