//! Fuzz targets of Keybound. What each does is in [`targets`], which `cargo test -p keybound` shares: it runs
//! every seed of `corpus-seed/` through them.

use keybound as tested;

pub mod targets;
