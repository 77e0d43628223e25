//! The first command of the README, on every sample: the text on standard output, byte for byte.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Texts by openai-whisper 20250625 on the bundled weights (greedy and with five beams alike).
const SAMPLES: [(&str, &str); 3] = [
    (
        "SS-0870",
        "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power to do for them.",
    ),
    ("SS-0880", "He was not an ill-disposed young man."),
    ("SS-0890", "Unless to be rather cold-hearted and rather selfish is to be ill-disposed."),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Runs the command in the repository's folder, as the README says.
fn transcribe(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transcribe"));
    command.current_dir(repository()).args(arguments).env_remove("TRANSCRIBE_MODEL_DIR").output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
}

#[test]
fn each_sample_becomes_its_text() {
    for (name, text) in SAMPLES {
        let output = transcribe(&[&format!("samples/{name}.wav")]);
        assert!(output.status.success(), "{name}: {}", told(&output));
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(stdout.trim(), text, "{name}: {}", told(&output));
    }
}

/// In f32, in which levels differ by the rounding of sums only.
#[test]
fn every_level_of_this_machine_gives_the_same_text() {
    for level in cpu_backend::Level::available() {
        let name = level.kind().name();
        let (sample, text) = SAMPLES[1];
        let file = format!("samples/{sample}.wav");
        let output = transcribe(&["--cpu-level", name, "--precision", "f32", &file]);
        assert!(output.status.success(), "{name}: {}", told(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), text, "{name}: {}", told(&output));
    }
}

/// What failed, why, and what to do.
#[test]
fn a_level_that_is_not_there_is_wrong_usage() {
    let there: Vec<_> = cpu_backend::Level::available().iter().map(|level| level.kind().name()).collect();
    let there = there.join(", ");
    let unknown = transcribe(&["--cpu-level", "sse9", "samples/SS-0880.wav"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", told(&unknown));
    for part in ["'sse9' for '--cpu-level", "there is no such level", &there, "--help"] {
        assert!(told(&unknown).contains(part), "`{part}` is not in\n{}", told(&unknown));
    }
    for kind in cpu_backend::LevelKind::ALL {
        let Err(error) = cpu_backend::Level::require(kind) else { continue };
        let output = transcribe(&["--cpu-level", kind.name(), "samples/SS-0880.wav"]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        for part in [&format!("cannot use the level {kind}"), &error.why, &format!("machine's: {there}")] {
            assert!(told(&output).contains(part), "`{part}` is not in\n{}", told(&output));
        }
    }
}

#[test]
fn files_are_done_in_order_and_a_missing_one_does_not_stop_the_others() {
    let output = transcribe(&["samples/SS-0880.wav", "samples/no-such-file.wav", "samples/SS-0890.wav"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let at = |text: &str| stdout.find(text).unwrap_or_else(|| panic!("`{text}` is not in\n{stdout}"));
    assert!(at(SAMPLES[1].1) < at(SAMPLES[2].1), "{stdout}");
    assert!(told(&output).contains("no-such-file.wav"), "{}", told(&output));
}

#[test]
fn a_device_that_is_not_there_is_an_error_and_no_text() {
    let output = transcribe(&["--device", "npu", "samples/SS-0880.wav"]);
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    assert!(output.stdout.is_empty() && told(&output).contains("npu"), "{}", told(&output));
}

/// Needs a C++ compiler, as all that runs the kernels' code.
#[test]
fn the_emulator_gives_the_same_text_and_a_receipt() {
    let verbose = ["--device", "emulator", "--require-npu", "--verbose", "True", "samples/SS-0880.wav"];
    let output = transcribe(&verbose);
    assert!(output.status.success(), "{}", told(&output));
    assert!(String::from_utf8(output.stdout.clone()).unwrap().contains(SAMPLES[1].1));
    for part in ["100.0 % of the encoder's products", "modelled, not measured", "core-seconds"] {
        assert!(told(&output).contains(part), "`{part}` is not in\n{}", told(&output));
    }
}

#[test]
fn words_do_not_change_the_text() {
    let output = transcribe(&["--word-timestamps", "samples/SS-0890.wav"]);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(String::from_utf8(output.stdout.clone()).unwrap().trim(), SAMPLES[2].1);
}
