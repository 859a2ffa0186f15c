//! What the tests and the demonstration share.
