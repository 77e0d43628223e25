//! The built command: exit codes, streams and what it does without a model.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

/// The command in an empty home: no model of this machine is seen but those of the test.
///
/// The executable lies under the repository, whose `models` folder the search finds; a test that needs no bundled model
/// to be there names another model.
fn run(home: &Path, args: &[&str]) -> Output {
    let mut command = Command::cargo_bin("transcribe").unwrap();
    command.env_clear().env("HOME", home).env("USERPROFILE", home).env("HF_HUB_OFFLINE", "1");
    command.current_dir(home).args(args).output().unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, parts: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err}");
    for part in parts {
        assert!(err.contains(part), "no `{part}` in: {err}");
    }
}

#[test]
fn help_and_version_are_no_failures() {
    let home = tempfile::tempdir().unwrap();
    for (args, part) in [(["--help"], "Exit codes:"), (["-h"], "--beam-size"), (["--version"], "cpu: ")] {
        let output = run(home.path(), &args);
        check(&output, 0, &[]);
        assert!(String::from_utf8_lossy(&output.stdout).contains(part), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn wrong_usage_is_2() {
    let home = tempfile::tempdir().unwrap();
    check(&run(home.path(), &[]), 2, &["AUDIO"]);
    check(&run(home.path(), &["--device", "cuda", "a.wav"]), 2, &["graphics"]);
    check(&run(home.path(), &["-f", "srt", "a.wav", "b/a.wav"]), 2, &["both a.wav and b/a.wav", "./a.srt"]);
    check(&run(home.path(), &["--highlight_words", "True", "-f", "srt", "a.wav"]), 2, &["--word-timestamps"]);
}

#[test]
fn missing_inputs_are_1_before_any_model() {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), &["--model", "tiny", "no.wav"]);
    check(&output, 1, &["error: cannot read no.wav: there is no such file\n  "]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("tiny"));
    check(&run(home.path(), &["no.wav", "neither.wav"]), 1, &["0 of 2 files done, 2 failed"]);
    check(&run(home.path(), &["encode", "no.wav", "-o", "x"]), 1, &["no such file"]);
}

#[test]
fn models_that_are_not_there_are_3() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.wav"), "").unwrap();
    for (model, parts) in [
        ("tiny", ["cannot get the model openai/whisper-tiny", "not in the cache"]),
        ("me/mine", ["cannot get the model me/mine", "offline"]),
        ("tinny", ["unknown model `tinny`", "did you mean tiny"]),
        ("./folder", ["cannot open the model ./folder", "no such file or folder"]),
        ("ggml-tiny.bin", ["cannot use the model", "ggml"]),
    ] {
        check(&run(home.path(), &["--model", model, "a.wav"]), 3, &parts);
        check(&run(home.path(), &["encode", "--model", model, "a.wav", "-o", "f"]), 3, &parts);
    }
    fs::create_dir(home.path().join("damaged")).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::write(home.path().join("damaged").join(file), "nonsense").unwrap();
    }
    check(&run(home.path(), &["--model", "./damaged", "a.wav"]), 3, &["config.json"]);
}

#[test]
fn models_lists_and_installs() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("models/whisper-base-int8");
    fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::write(folder.join(file), "{}").unwrap();
    }
    let listed = run(home.path(), &["models"]);
    check(&listed, 0, &[]);
    let text = String::from_utf8(listed.stdout).unwrap();
    let tail = Path::new("models").join("whisper-base-int8").display().to_string();
    assert!(text.contains(&tail), "{text}");
    assert!(text.contains("openai/whisper-large-v3-turbo"), "{text}");
    let first = run(home.path(), &["models", "install", "--to", "there", "--model-dir", "models"]);
    check(&first, 0, &[]);
    assert_eq!(fs::read_to_string(home.path().join("there/whisper-base-int8/config.json")).unwrap(), "{}");
    let second = run(home.path(), &["models", "install", "--to", "there"]);
    assert!(String::from_utf8(second.stdout).unwrap().starts_with("already installed"));
}

#[test]
fn doctor_ends_as_a_transcription_would() {
    let home = tempfile::tempdir().unwrap();
    // The bundled model lies above the built command, and the processor is there.
    let well = run(home.path(), &["doctor"]);
    check(&well, 0, &[]);
    let text = String::from_utf8(well.stdout).unwrap();
    let names: Vec<&str> = text.lines().filter(|line| !line.starts_with("  ")).collect();
    assert!(names[0].starts_with("ok           processor   "), "{text}");
    assert!(text.contains("ok           model       "), "{text}");
    assert!(text.contains("\n--device auto, here the cpu: all that it needs works"), "{text}");

    let json = run(home.path(), &["doctor", "--json", "--device", "npu"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["checks"].as_array().unwrap().len(), 13);
    assert_eq!((&report["uses"], &report["exit_code"]), (&"npu".into(), &4.into()));
    check(&json, 4, &[]);

    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::write(home.path().join(file), "nonsense").unwrap();
    }
    let damaged = run(home.path(), &["doctor", "--model-dir", "."]);
    check(&damaged, 3, &[]);
    let text = String::from_utf8(damaged.stdout).unwrap();
    assert!(text.contains("problem      model       ") && text.contains("config.json"), "{text}");
    assert!(text.ends_with("cannot be used; see model\n"), "{text}");
    check(&run(home.path(), &["doctor", "--device", "abacus"]), 2, &["auto, cpu, npu and emulator"]);
}

#[test]
fn completions_know_the_options() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(home.path(), &["completions", shell]);
        check(&output, 0, &[]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("word-timestamps"), "{shell}");
    }
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_is_quiet() {
    use std::process::{Command as Plain, Stdio};
    let exe = assert_cmd::cargo::cargo_bin("transcribe");
    for args in [&["models"][..], &["doctor"], &["completions", "bash"], &["--help"]] {
        let mut child = Plain::new(&exe)
            .args(args)
            .env("HF_HUB_OFFLINE", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
