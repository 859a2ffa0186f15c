//! Keybound: an API-key authentication filter for Envoy.
