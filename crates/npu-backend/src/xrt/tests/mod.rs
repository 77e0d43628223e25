//! The device over a scripted table of functions: no XRT, no driver; and the shim's own mistakes on the real XRT.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod behaviour;
mod fake;
mod real;
#[path = "../../../tests/xrt/stage.rs"]
mod stage;
