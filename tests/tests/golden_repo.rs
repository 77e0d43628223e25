//! The engine against OpenAI's implementation, over the small golden set kept in this repository.

use std::sync::OnceLock;

use workspace_tests::engine::{self, Accelerator, Model};
use workspace_tests::golden::{Goldens, repository};
use workspace_tests::suite::Suite;

fn suite() -> Suite {
    let audio = vec![repository().join("samples"), repository().join("tests/data/audio")];
    Suite { goldens: Goldens::of_repository(), audio }
}

fn load(accelerator: Accelerator) -> Model {
    engine::load_model(accelerator).unwrap_or_else(|error| panic!("{accelerator:?}: {error}"))
}

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| load(Accelerator::Cpu))
}

#[test]
fn mel() {
    suite().mel().verdict("mel");
}

#[test]
fn encoder_layer_by_layer() {
    for accelerator in Accelerator::ALL {
        suite().encoder(&load(accelerator)).verdict(&format!("encoder on {accelerator:?}"));
    }
}

#[test]
fn logits_after_the_sot_sequence() {
    suite().logits(model()).verdict("logits");
}

#[test]
fn languages() {
    suite().languages(model()).verdict("languages");
}

#[test]
fn windows_token_for_token() {
    suite().windows(model()).verdict("windows");
}

#[test]
fn files_token_for_token() {
    suite().files(model()).verdict("files");
}
