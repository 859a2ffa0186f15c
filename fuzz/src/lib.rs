//! Fuzz targets of Keybound. What each does is in [`targets`], which `cargo test -p keybound` shares: it runs
//! every seed of `corpus-seed/` through them; [`edge`] is shared by `cargo test -p fake-envoy`.

use keybound as tested;

pub mod edge;
pub mod targets;
