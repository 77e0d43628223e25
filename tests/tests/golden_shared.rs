//! The engine against OpenAI's implementation, over a golden set outside the repository.
//!
//! `WHISPER_GOLDENS` names its folder (with `decodings.json`); audio is looked for in `WHISPER_GOLDENS_AUDIO`, else in
//! the folder `audio` two levels up. Without the variable nothing is compared, and the test says so.

use std::io::Write;
use std::path::PathBuf;

use workspace_tests::engine::{self, Accelerator};
use workspace_tests::golden::Goldens;
use workspace_tests::suite::Suite;

/// One test, in order from the signal to the text: the first failure is the nearest to the cause.
#[test]
fn whole_golden_set() {
    let Some(folder) = std::env::var_os("WHISPER_GOLDENS").map(PathBuf::from) else {
        // Not `eprintln!`, which the test harness keeps to itself when a test passes.
        let line = "\nSKIPPED: golden_shared compared nothing, because WHISPER_GOLDENS is not set\n";
        std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
        return;
    };
    let audio =
        std::env::var_os("WHISPER_GOLDENS_AUDIO").map_or_else(|| folder.join("../../audio"), PathBuf::from);
    let goldens = Goldens::open(&folder).unwrap_or_else(|error| panic!("{error}"));
    let suite = Suite { goldens, audio: vec![audio] };
    suite.mel().verdict("mel");
    let load = |accelerator| engine::load_model(accelerator).unwrap_or_else(|error| panic!("{error}"));
    suite.encoder(&load(Accelerator::Candle)).verdict("encoder on Candle");
    let model = load(Accelerator::Cpu);
    suite.encoder(&model).verdict("encoder on Cpu");
    suite.logits(&model).verdict("logits");
    suite.languages(&model).verdict("languages");
    suite.windows(&model).verdict("windows");
    suite.files(&model).verdict("files");
}
