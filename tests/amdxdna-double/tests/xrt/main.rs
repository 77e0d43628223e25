//! The double beneath AMD's XRT 2.25, unmodified, from Debian's packages (`tests/xrt-sandbox`).
//!
//! A host program in C++ on AMD's own headers (`program/launch.cpp`) opens the device, registers an xclbin made by AMD's
//! `xclbinutil`, and runs instruction streams; what it gets is compared with the emulator's bytes, and what XRT says
//! with what the fault should look like. Where the packages are out of reach the tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod faults;
mod launches;
mod limits;
mod listing;
