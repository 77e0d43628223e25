//! Outputs that cannot be written: told with the cause, and nothing half-written left.

use std::fs;

use super::{TEXT, assert_one_error, command, errors_of, list, sounds};

#[test]
fn folders_that_cannot_be_made() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.wav"), sounds::good()).unwrap();
    fs::write(home.path().join("taken"), "kept").unwrap();
    // The superuser may write everywhere: only what is no folder stops everyone.
    for folder in ["taken", "taken/below"] {
        let output = command(home.path()).args(["a.wav", "-o", folder]).output().unwrap();
        assert_one_error(
            folder,
            &output,
            1,
            &["cannot make the folder", folder, "choose another folder with -o"],
        );
        assert!(output.stdout.is_empty(), "{folder}");
    }
    assert_eq!(fs::read_to_string(home.path().join("taken")).unwrap(), "kept");
    assert_eq!(list(home.path()), ["a.wav", "taken"]);
}

/// Something in the way of one file of the first input; the second input is done all the same.
#[test]
fn a_file_that_cannot_be_written_does_not_stop_the_next_input() {
    let home = tempfile::tempdir().unwrap();
    for name in ["a.wav", "b.wav"] {
        fs::write(home.path().join(name), sounds::good()).unwrap();
    }
    let out = home.path().join("out");
    fs::create_dir_all(out.join("a.srt")).unwrap();
    let output =
        command(home.path()).args(["a.wav", "b.wav", "-f", "txt,srt", "-o", "out"]).output().unwrap();
    let stderr = errors_of(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: cannot write ") && stderr.contains("a.srt: "), "{stderr}");
    assert!(stderr.contains("1 of 2 files done, 1 failed"), "{stderr}");
    assert_eq!(list(&out), ["a.srt", "a.txt", "b.srt", "b.txt"]);
    assert!(fs::read_to_string(out.join("b.srt")).unwrap().contains(TEXT));
}

/// A disk that is full from the first byte on (`/dev/full`), as a file and as standard output.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.wav"), sounds::good()).unwrap();
    let out = home.path().join("out");
    fs::create_dir(&out).unwrap();
    std::os::unix::fs::symlink("/dev/full", out.join("a.json")).unwrap();
    let output = command(home.path()).args(["a.wav", "-f", "txt,json", "-o", "out"]).output().unwrap();
    assert_one_error("file", &output, 1, &["cannot write", "a.json", "No space left", "free some space"]);
    assert_eq!(list(&out), ["a.json", "a.txt"]);

    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(home.path()).arg("a.wav").stdout(full).output().unwrap();
    assert_one_error("stdout", &output, 1, &["standard output", "No space left", "make room"]);
}

/// A regular file that stops growing in its middle: the limit of file sizes, whose signal ends programs that do not see to
/// it.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_in_the_middle_leaves_no_half_file() {
    use std::process::{Command, Stdio};
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.wav"), sounds::good()).unwrap();
    let out = home.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("a.json"), "older").unwrap();
    // Words make the json longer than the limit of 1 KiB; the txt is shorter.
    let script = "ulimit -f 1 && exec \"$@\"";
    let output = Command::new("bash")
        .args(["-c", script, "bash", env!("CARGO_BIN_EXE_transcribe")])
        .args(super::good_options())
        .args(["a.wav", "-f", "txt,json", "-o", "out", "--word-timestamps"])
        .current_dir(home.path())
        .env_remove("TRANSCRIBE_MODEL_DIR")
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: there is no bash to set a limit with");
        return;
    };
    assert_one_error("limit", &output, 1, &["cannot write", "a.json", "File too large", "another folder"]);
    assert!(!errors_of(&output).contains(".part"), "the temporary name means nothing to anybody");
    assert_eq!(list(&out), ["a.json", "a.txt"]);
    assert_eq!(fs::read_to_string(out.join("a.json")).unwrap(), "older", "the older file stays");
    assert_eq!(fs::read_to_string(out.join("a.txt")).unwrap().trim_end(), TEXT);
}
