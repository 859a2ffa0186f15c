//! The support library itself, on an Envoy without the filter and on processes that misbehave.

mod crash;
mod echo;
mod process;
mod scripted;
