//! Downloads from a hub: a small one on this machine stands in for the real one.
#![allow(clippy::unwrap_used)]

#[path = "model_hub/fake_hub.rs"]
mod fake_hub;

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use fake_hub::{FakeHub, Repository};

const CONFIG: &str = r#"{"model_type":"whisper","num_mel_bins":80,"max_source_positions":1500,"d_model":64,
    "encoder_attention_heads":1,"encoder_layers":1,"encoder_ffn_dim":8,"vocab_size":51865,
    "max_target_positions":448,"decoder_attention_heads":1,"decoder_layers":1,"decoder_ffn_dim":8}"#;

/// A command that knows only the hub given and keeps its things in `home`.
fn command(home: &Path, endpoint: &str) -> Command {
    let mut command = Command::cargo_bin("transcribe").unwrap();
    command.env_clear().env("HOME", home).env("USERPROFILE", home).env("HF_ENDPOINT", endpoint);
    if let Some(root) = std::env::var_os("SystemRoot") {
        // Sockets on Windows need it.
        command.env("SystemRoot", root);
    }
    command.current_dir(home);
    command
}

fn download(home: &Path, endpoint: &str, name: &str) -> Output {
    command(home, endpoint).args(["models", "download", name]).output().unwrap()
}

#[track_caller]
fn fails(output: &Output, parts: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    for part in parts {
        assert!(err.contains(part), "no `{part}` in: {err}");
    }
    // Three parts: what and why on the first line, the hint on the second.
    assert!(
        err.starts_with("error: ") && err.lines().nth(1).is_some_and(|hint| hint.starts_with("  ")),
        "{err}"
    );
}

#[track_caller]
fn succeeds(output: &Output, part: &str) {
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.contains(part), "no `{part}` in: {out}");
}

fn tiny() -> Repository {
    Repository::new(&[
        ("config.json", CONFIG),
        ("tokenizer.json", "{}"),
        ("generation_config.json", "{}"),
        ("preprocessor_config.json", "{}"),
        ("model.safetensors", "these are the weights"),
        ("README.md", "not wanted"),
    ])
}

fn snapshot(home: &Path) -> std::path::PathBuf {
    home.join(".cache/huggingface/hub/models--me--tiny/snapshots").join(fake_hub::COMMIT)
}

#[test]
fn a_model_is_downloaded_once_and_then_needs_no_network() {
    let home = tempfile::tempdir().unwrap();
    let hub = FakeHub::serve("me/tiny", tiny());
    succeeds(&download(home.path(), &hub.endpoint, "me/tiny"), "me/tiny downloaded to");
    let folder = snapshot(home.path());
    assert_eq!(fs::read_to_string(folder.join("model.safetensors")).unwrap(), "these are the weights");
    assert!(!folder.join("README.md").exists(), "only what is needed is downloaded");
    let asked = hub.requests();
    assert!(asked.iter().any(|path| path.ends_with("/resolve/main/model.safetensors")), "{asked:?}");
    succeeds(&download(home.path(), &hub.endpoint, "me/tiny"), "me/tiny already in");
    assert_eq!(hub.requests().len(), asked.len(), "a cached model asks nothing");
    drop(hub);
    succeeds(&download(home.path(), "http://127.0.0.1:1", "me/tiny"), "already in");
    let offline = command(home.path(), "http://127.0.0.1:1")
        .args(["models", "download", "--offline", "me/tiny"])
        .output()
        .unwrap();
    succeeds(&offline, "already in");
    let listed = command(home.path(), "").arg("models").output().unwrap();
    succeeds(&listed, "me/tiny");
}

#[test]
fn shards_are_downloaded_by_their_index() {
    let home = tempfile::tempdir().unwrap();
    let index = r#"{"weight_map":{"a":"model-1-of-2.safetensors","b":"model-2-of-2.safetensors"}}"#;
    let mut repository = tiny();
    repository.remove("model.safetensors");
    repository.insert("model.safetensors.index.json", index);
    repository.insert("model-1-of-2.safetensors", "one");
    repository.insert("model-2-of-2.safetensors", "two");
    let hub = FakeHub::serve("me/tiny", repository);
    succeeds(&download(home.path(), &hub.endpoint, "me/tiny"), "downloaded");
    assert_eq!(fs::read_to_string(snapshot(home.path()).join("model-2-of-2.safetensors")).unwrap(), "two");
}

#[test]
fn optional_files_may_be_absent_and_are_not_asked_for_again() {
    let home = tempfile::tempdir().unwrap();
    let mut repository = tiny();
    repository.remove("generation_config.json");
    repository.remove("preprocessor_config.json");
    let hub = FakeHub::serve("me/tiny", repository);
    succeeds(&download(home.path(), &hub.endpoint, "me/tiny"), "downloaded");
    let asked = hub.requests().len();
    succeeds(&download(home.path(), &hub.endpoint, "me/tiny"), "already in");
    assert_eq!(hub.requests().len(), asked);
}

#[test]
fn unknown_and_closed_repositories_are_told_apart() {
    let home = tempfile::tempdir().unwrap();
    let hub = FakeHub::serve("me/tiny", tiny());
    let parts = ["cannot get the model me/other", "no such public repository", "HTTP 404", "HF_TOKEN"];
    fails(&download(home.path(), &hub.endpoint, "me/other"), &parts);
    for (status, part) in
        [(401, "no such public repository"), (403, "gated"), (429, "too many"), (500, "HTTP 500")]
    {
        let hub = FakeHub::refusing(status);
        fails(&download(home.path(), &hub.endpoint, "me/tiny"), &[part]);
    }
    let with_token = command(home.path(), &FakeHub::refusing(401).endpoint)
        .env("HF_TOKEN", "wrong")
        .args(["models", "download", "me/tiny"])
        .output()
        .unwrap();
    fails(&with_token, &["token"]);
}

#[test]
fn repositories_that_cannot_be_used_say_why() {
    for (left_out, parts) in [
        ("tokenizer.json", ["no tokenizer.json", "copy tokenizer.json"]),
        ("config.json", ["no config.json", "layout"]),
        ("model.safetensors", ["no model.safetensors", "pytorch_model.bin"]),
    ] {
        let home = tempfile::tempdir().unwrap();
        let mut repository = tiny();
        repository.insert("pytorch_model.bin", "");
        repository.remove(left_out);
        if left_out == "config.json" {
            repository.remove("pytorch_model.bin");
        }
        let hub = FakeHub::serve("me/tiny", repository);
        fails(&download(home.path(), &hub.endpoint, "me/tiny"), &parts);
    }
    let home = tempfile::tempdir().unwrap();
    let mut repository = tiny();
    repository.insert("config.json", r#"{"model_type":"bert"}"#);
    let hub = FakeHub::serve("me/tiny", repository);
    fails(&download(home.path(), &hub.endpoint, "me/tiny"), &["not a Whisper", "bert"]);
    assert!(hub.requests().iter().all(|path| !path.contains("model.safetensors")), "no weights for nothing");
}

#[test]
fn offline_and_unreachable_are_told_apart() {
    let home = tempfile::tempdir().unwrap();
    fails(
        &download(home.path(), "http://127.0.0.1:1", "me/tiny"),
        &["cannot reach the hub", "bundled model"],
    );
    let offline = |switch: bool| {
        let mut command = command(home.path(), "http://127.0.0.1:1");
        command.args(["models", "download", "me/tiny"]);
        if switch {
            command.arg("--offline")
        } else {
            command.env("HF_HUB_OFFLINE", "1")
        };
        command.output().unwrap()
    };
    for switch in [true, false] {
        fails(&offline(switch), &["not in the cache", "downloads are off"]);
    }
}

#[test]
fn a_broken_download_is_not_left_as_complete_and_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let hub = FakeHub::breaking("me/tiny", tiny(), "model.safetensors", 7);
    fails(&download(home.path(), &hub.endpoint, "me/tiny"), &["broke off", "goes on where it stopped"]);
    assert!(!snapshot(home.path()).join("model.safetensors").exists());
    drop(hub);
    let hub = FakeHub::serve("me/tiny", tiny());
    succeeds(&download(home.path(), &hub.endpoint, "me/tiny"), "downloaded");
    let weights = fs::read_to_string(snapshot(home.path()).join("model.safetensors")).unwrap();
    assert_eq!(weights, "these are the weights");
    let ranges = hub.ranges("model.safetensors");
    assert!(ranges.iter().any(|range| range != "bytes=0-0" && range != "bytes=0-"), "{ranges:?}");
}

#[test]
fn a_file_of_the_wrong_length_is_thrown_away() {
    let home = tempfile::tempdir().unwrap();
    let hub = FakeHub::breaking("me/tiny", tiny(), "model.safetensors", 7);
    fails(&download(home.path(), &hub.endpoint, "me/tiny"), &["broke off"]);
    drop(hub);
    // This hub sends all from the start although it is asked to go on in the middle.
    let hub = FakeHub::ignoring_ranges("me/tiny", tiny());
    fails(&download(home.path(), &hub.endpoint, "me/tiny"), &["instead of 21", "thrown away"]);
    succeeds(&download(home.path(), &hub.endpoint, "me/tiny"), "downloaded");
    let weights = fs::read_to_string(snapshot(home.path()).join("model.safetensors")).unwrap();
    assert_eq!(weights, "these are the weights");
}

#[test]
fn the_cache_can_be_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let hub = FakeHub::serve("me/tiny", tiny());
    for (set, folder) in [("HF_HOME", "x/hub"), ("HF_HUB_CACHE", "y"), ("", "z")] {
        let mut command = command(home.path(), &hub.endpoint);
        command.args(["models", "download", "me/tiny"]);
        match set {
            "HF_HOME" => command.env(set, home.path().join("x")),
            "" => command.arg("--model_dir").arg(home.path().join("z")),
            _ => command.env(set, home.path().join("y")),
        };
        succeeds(&command.output().unwrap(), "downloaded");
        assert!(home.path().join(folder).join("models--me--tiny/refs/main").exists(), "{set}");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_stops_a_download_at_once_with_130() {
    use std::process::{Command as Plain, Stdio};
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.wav"), "").unwrap();
    let hub = FakeHub::hanging();
    let mut child = Plain::new(assert_cmd::cargo::cargo_bin("transcribe"))
        .env_clear()
        .env("HOME", home.path())
        .env("HF_ENDPOINT", &hub.endpoint)
        .current_dir(home.path())
        .args(["--model", "me/tiny", "a.wav"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The handler is set before the model is looked for: a request says that both are done.
    while hub.requests().is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it asked the hub");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let killed = Plain::new("/bin/sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
