//! What the benches share. Each bench asks one question, which its module comment states: `cargo bench --bench mel`.
//!
//! Criterion prints the time of one iteration. Say with a figure which machine and how many threads it is of; ratios
//! come from one run on one machine.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

pub mod memory;

use std::path::PathBuf;

use transcribe::speech_model::SpeechModel;
use whisper_encoder::LogMel;
use workspace_tests::engine::{Accelerator, Model, load_model, mel_of_first_window};
use workspace_tests::golden::repository;

/// The sample that benches read: 5.3 s of speech.
#[must_use]
pub fn sample() -> PathBuf {
    repository().join("samples/SS-0890.wav")
}

/// The bundled model on `accelerator`.
///
/// # Panics
/// If it cannot be opened.
#[must_use]
pub fn model(accelerator: Accelerator) -> Model {
    load_model(accelerator).unwrap_or_else(|error| panic!("{accelerator:?}: {error}"))
}

/// The sample's first window, filled up with silence: `[n_mels, 3000]`.
///
/// # Panics
/// If the sample cannot be read.
#[must_use]
pub fn window(model: &Model) -> LogMel {
    mel_of_first_window(&sample(), model.config().n_mels).unwrap()
}
