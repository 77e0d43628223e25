//! What the cross-crate tests share: goldens, comparisons that explain themselves, random checkpoints.
//!
//! The tests themselves are in `tests/`: `tidy` (rules of the repository), `golden_repo` (a small golden set kept
//! here), `golden_shared` (the whole golden set, where there is one), `random_checkpoints` (every published shape).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "tables of differences are printed for the reader of a test log")]

pub mod close;
pub mod compare;
pub mod engine;
pub mod golden;
pub mod likeness;
pub mod mel_reference;
pub mod random_checkpoint;
pub mod suite;
pub mod trace;
pub mod words;

/// Compiles the programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct ReadmePrograms;
