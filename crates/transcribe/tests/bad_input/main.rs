//! What goes wrong, through the built command: inputs, outputs, models, options, devices. Every message says what
//! failed, why and what to do; nothing half-written stays; one bad file does not stop the others.
//!
//! Exit codes: 0 all done, 1 some file failed, 2 usage, 3 model, 4 device.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests; a skipped test says so")]

mod inputs;
mod models;
mod options;
mod outputs;
mod sounds;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What the sample `SS-0880` says.
const TEXT: &str = "He was not an ill-disposed young man.";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn bundled() -> PathBuf {
    repository().join("models/whisper-base-int8")
}

/// The command in `folder`, with no network and no other model than those that it is given.
fn plain_command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transcribe"));
    command.current_dir(folder).stdin(Stdio::null());
    command.env_remove("TRANSCRIBE_MODEL_DIR").env("HF_HUB_OFFLINE", "1").env("HF_HOME", folder);
    command
}

/// The options that tests transcribe with: the bundled model, greedy.
fn good_options() -> [String; 6] {
    let model = bundled().display().to_string();
    ["--model", &model, "--device", "cpu", "--beam-size", "None"].map(String::from)
}

/// [`plain_command`] with [`good_options`].
fn command(folder: &Path) -> Command {
    let mut command = plain_command(folder);
    command.args(good_options());
    command
}

fn errors_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn text_of(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Names in a folder, sorted, hidden ones too.
fn list(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A message of the command: its first line, and the lines below it, which are indented.
#[derive(Debug)]
struct Message<'a> {
    head: &'a str,
    hint: String,
}

fn messages(stderr: &str) -> Vec<Message<'_>> {
    let mut found: Vec<Message<'_>> = Vec::new();
    for line in stderr.lines() {
        match found.last_mut().filter(|_| line.starts_with("  ")) {
            Some(message) => message.hint.push_str(line.trim_start()),
            None => found.push(Message { head: line, hint: String::new() }),
        }
    }
    found
}

/// Exactly one error, in three parts, with all the phrases; and no panic.
#[track_caller]
fn assert_one_error(at: &str, output: &Output, code: i32, phrases: &[&str]) {
    let stderr = errors_of(output);
    assert_eq!(output.status.code(), Some(code), "{at}: {stderr}");
    assert!(!stderr.contains("panicked"), "{at}: {stderr}");
    let messages = messages(&stderr);
    let errors: Vec<_> = messages.iter().filter(|message| message.head.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{at}: {stderr}");
    for phrase in phrases {
        assert!(
            errors[0].head.contains(phrase) || errors[0].hint.contains(phrase),
            "{at}: no `{phrase}` in: {stderr}"
        );
    }
    assert!(errors[0].head.matches(": ").count() >= 2, "{at}: what and why: {stderr}");
    assert!(!errors[0].hint.is_empty(), "{at}: no hint: {stderr}");
}

#[test]
fn messages_are_cut_at_their_first_lines() {
    let cut = messages("error: a: b\n  do this\nwarning: c\n");
    assert_eq!((cut.len(), cut[0].head, cut[0].hint.as_str()), (2, "error: a: b", "do this"), "{cut:?}");
    assert_eq!((cut[1].head, cut[1].hint.as_str()), ("warning: c", ""));
}
