//! Names, atomic files, and what OpenAI's writers cannot do.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::python;
use super::*;
use crate::{ErrorKind, Segment, Transcription};

fn segment(text: &str, words: Option<Vec<crate::Word>>) -> Segment {
    Segment {
        id: 0,
        seek: 0,
        start: 0.0,
        end: 1.0,
        text: text.into(),
        tokens: vec![],
        temperature: 0.0,
        avg_logprob: 0.0,
        compression_ratio: 1.0,
        no_speech_prob: 0.0,
        words,
    }
}

#[test]
fn names_follow_the_audio_file() {
    for (audio, want) in [
        ("a.wav", "out/a.srt"),
        ("dir/a.tar.gz", "out/a.tar.srt"),
        ("dir.d/plain", "out/plain.srt"),
        (".hidden", "out/.hidden.srt"),
        ("..wav", "out/..wav.srt"),
        (".a.wav", "out/.a.srt"),
        ("a.", "out/a.srt"),
        ("日本 語.mp3", "out/日本 語.srt"),
    ] {
        assert_eq!(output_path(Path::new("out"), Path::new(audio), "srt"), Path::new(want), "{audio}");
    }
}

#[test]
fn all_means_every_format_and_unknown_names_none() {
    assert_eq!(Format::named("all"), Format::ALL);
    assert_eq!(Format::named("vtt"), [Format::Vtt]);
    assert_eq!(Format::named("SRT"), []);
}

#[test]
fn an_emptied_first_segment_does_not_stop_the_writer() {
    let result = Transcription {
        segments: vec![segment("", Some(vec![])), segment(" spoken", None)],
        ..Transcription::default()
    };
    let mut got = Vec::new();
    SrtWriter.write(&result, &WriterOptions::default(), &mut got).unwrap();
    let got = String::from_utf8(got).unwrap();
    assert!(got.ends_with("2\n00:00:00,000 --> 00:00:01,000\nspoken\n\n"), "{got}");
}

#[test]
fn negative_times_are_written_as_zero() {
    assert_eq!(format_timestamp(-0.02, true, ','), "00:00:00,000");
    assert_eq!(format_timestamp(f64::NAN, false, '.'), "00:00.000");
}

#[test]
fn the_receipt_comes_last() {
    let run = json!({"device": "cpu", "windows": 3, "rtf": 0.00001, "why": [null, true, "é"], "x": {}});
    let mut got = Vec::new();
    let result = Transcription { language: "en".into(), ..Transcription::default() };
    JsonWriter::with_run(run).write(&result, &WriterOptions::default(), &mut got).unwrap();
    let want = concat!(
        r#"{"text": "", "segments": [], "language": "en", "run": {"device": "cpu", "windows": 3, "rtf": 1e-05, "#,
        r#""why": [null, true, "\u00e9"], "x": {}}}"#
    );
    assert_eq!(String::from_utf8(got).unwrap(), want);
}

#[test]
fn files_are_written_whole_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let result = Transcription { segments: vec![segment(" one", None)], ..Transcription::default() };
    let write =
        || write_output(folder.path(), Path::new("x/a.wav"), &TxtWriter, &result, &WriterOptions::default());
    assert_eq!(write().unwrap(), folder.path().join("a.txt"));
    fs::write(folder.path().join("a.txt"), "older and longer").unwrap();
    write().unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("a.txt")).unwrap(), "one\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_failure_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    let fail = |path: &Path| {
        write_atomically(path, |out| {
            out.write_all(&[b'x'; 100_000])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err()
    };
    let error = fail(&path);
    assert_eq!(error.kind(), ErrorKind::Output);
    assert!(error.what().contains("a.txt") && error.hint().contains("space"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(&path, "kept").unwrap();
    fail(&path);
    assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_folder_and_a_read_only_file_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let error = write_atomically(&folder.path().join("no/a.txt"), |_| Ok(())).unwrap_err();
    assert!(error.hint().contains("create the folder"), "{error}");
    let path = folder.path().join("a.txt");
    fs::write(&path, "kept").unwrap();
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    let error = write_atomically(&path, |out| out.write_all(b"new")).unwrap_err();
    assert!(error.why().contains("read-only"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_files_are_not_private() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "old").unwrap();
    symlink(&real, &link).unwrap();
    write_atomically(&link, |out| out.write_all(b"new")).unwrap();
    assert_eq!(fs::read_to_string(&real).unwrap(), "new");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    // As any file made here, whatever the umask is.
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&real), mode(&plain));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error() {
    let error = write_atomically(Path::new("/dev/full"), |out| out.write_all(b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Output);
    assert!(error.hint().contains("free some space"), "{error}");
}

proptest! {
    #[test]
    fn floats_read_back_as_they_were(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        if value.is_finite() {
            prop_assert_eq!(python::float(value).parse::<f64>().unwrap().to_bits(), bits);
        }
    }

    #[test]
    fn strings_read_back_as_they_were(text in ".*") {
        let mut json = Vec::new();
        python::string(&text, &mut json).unwrap();
        prop_assert!(json.is_ascii());
        prop_assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
    }
}
