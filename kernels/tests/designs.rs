//! The designs' own checks, which are Python: taps against naive tiling, compiled launches on a model of the array,
//! limits of the hardware, the design scripts against recorded calls, the index of built images.
//!
//! They need `python3` (3.9 or newer, no package). Where it is missing they fail; `NPU_NO_PYTHON=1` passes them over.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

/// The Makefile's list, so that a check that is forgotten here is told below.
const CHECKS: [&str; 5] = ["test_taps", "test_sequence", "test_limits", "test_encoder", "test_index"];

/// Runs `python3` in the designs' folder; `None` if it is to be done without.
fn python(arguments: &[&str]) -> Option<Output> {
    if std::env::var_os("NPU_NO_PYTHON").is_some_and(|value| !value.is_empty()) {
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("designs");
    let mut command = Command::new("python3");
    command.args(arguments).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            panic!("python3: {error}; install it, or set NPU_NO_PYTHON=1 to leave the designs unchecked")
        }
    }
}

fn passes(arguments: &[&str]) {
    if let Some(output) = python(arguments) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "python3 {}:\n{}{}",
            arguments.join(" "),
            text(&output.stdout),
            text(&output.stderr)
        );
    }
}

fn check(module: &str) {
    assert!(CHECKS.contains(&module));
    passes(&["-m", "unittest", module]);
}

#[test]
fn taps_agree_with_naive_tiling() {
    check("test_taps");
}

#[test]
fn compiled_launches_deliver_the_planned_streams() {
    check("test_sequence");
}

#[test]
fn launches_and_overlay_keep_the_limits() {
    check("test_limits");
}

#[test]
fn design_scripts_say_the_compiled_sequence() {
    check("test_encoder");
}

#[test]
fn the_index_is_that_of_the_back_end() {
    check("test_index");
}

#[test]
fn no_check_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("designs");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".py").map(str::to_owned))
        .filter(|name| name.starts_with("test_"))
        .collect();
    found.sort();
    let mut listed = CHECKS;
    listed.sort_unstable();
    assert_eq!(found, listed);
}

#[test]
fn a_launch_in_words_has_the_streams_header() {
    let arguments = "taps.py gemm --m 1536 --k 512 --n 2048 --order a_resident --cols 4 --words";
    let Some(output) = python(&arguments.split(' ').collect::<Vec<_>>()) else { return };
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<u32> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    // 6 row blocks: 4 fills of A each, 8 panels of 4 fills of B and 4 drains each; 13 words an entry.
    let (fills, drains) = (6 * 4 + 6 * 8 * 4, 6 * 8 * 4);
    assert_eq!(words[..6], [0x4E50_5553, 1, 4, 4, fills, drains]);
    assert_eq!(words.len(), 6 + 13 * (fills + drains) as usize);
}

#[test]
fn a_launch_that_cannot_be_says_why() {
    let Some(output) = python(&["taps.py", "gemm", "--m", "1", "--k", "1", "--n", "1", "--out", "i32"])
    else {
        return;
    };
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no kernel makes i32 of bf16"));
}
