//! The device over a scripted table of functions: no XRT, no driver. What the real XRT does stands in `tests/xrt`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod behaviour;
mod fake;
