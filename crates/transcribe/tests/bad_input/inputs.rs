//! Inputs: the bad ones are named with what is wrong, the odd ones are transcribed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use super::sounds::{self, USUAL, wav};
use super::{TEXT, assert_one_error, command, errors_of, list, messages, text_of};

/// What must become of an input.
enum Want {
    /// This text, and no word about it.
    Text(&'static str),
    /// A text that begins so, and a warning with these phrases.
    Warning(&'static str, &'static [&'static str]),
    /// No files, and an error with these phrases: why, and what to do.
    Error(&'static [&'static str]),
}

/// Name, and what lies there: bytes; `None` is nothing.
fn table() -> Vec<(&'static str, Option<Vec<u8>>, Want)> {
    use Want::{Error, Text, Warning};
    const FORMATS: &str = "known are wav";
    let half_mp3 = {
        let mut bytes = sounds::fixture("tone.mp3");
        bytes.truncate(bytes.len() * 6 / 10);
        bytes
    };
    vec![
        ("first.wav", Some(sounds::good()), Text(TEXT)),
        ("missing.wav", None, Error(&["no such file", "check the name"])),
        ("empty.wav", Some(Vec::new()), Error(&["it is empty", "finished"])),
        ("text.wav", Some(b"Call me Ishmael. ".repeat(500)), Error(&["not audio in a format", FORMATS])),
        ("half-header.wav", Some(sounds::good()[..20].to_vec()), Error(&["not audio", FORMATS])),
        ("only-header.wav", Some(wav(USUAL, 0, &[])), Error(&["no sound in it, 0 samples", "finished"])),
        // Bytes of the first frame, but no whole one.
        ("half-frame.wav", Some(wav(USUAL, 1, &[1])), Error(&["no sound", "finished"])),
        (
            "cut.wav",
            Some(sounds::good()[..60_000].to_vec()),
            Warning("He was", &["cut short", "1.87 s", "2.99 s"]),
        ),
        ("cut-mp3.mp3", Some(half_mp3), Warning("", &["cut short", "1.50 s"])),
        ("scrap.mp3", Some(sounds::fixture("tone.mp3")[..100].to_vec()), Error(&["not audio", FORMATS])),
        ("two-gigabytes.wav", Some(wav(USUAL, 0x7fff_ff00, &sounds::pcm())), Text(TEXT)),
        (
            "nan.wav",
            Some(sounds::in_floats(Some((16_000, f32::NAN)))),
            Error(&["sample 16000 (at 1.000 s) is not a number", "cut that part out"]),
        ),
        (
            "infinite.wav",
            Some(sounds::in_floats(Some((8000, f32::INFINITY)))),
            Error(&["sample 8000 (at 0.500 s) is infinite", "cut that part out"]),
        ),
        ("silent-video.mp4", Some(sounds::fixture("video-only.mp4")), Error(&["no audio track"])),
        ("8 channels, 96 kHz.wav", Some(sounds::at_96_khz_in_8_channels()), Text(TEXT)),
        ("8-khz.wav", Some(sounds::at_8_khz()), Text(TEXT)),
        ("24-bit ёж 音声.wav", Some(sounds::in_24_bits()), Text(TEXT)),
        ("float, no extension", Some(sounds::in_floats(None)), Text(TEXT)),
        // So short that openai-whisper, too, finds nothing in it.
        ("10 ms.wav", Some(sounds::ten_milliseconds()), Text("")),
    ]
}

/// One run over the whole table, with a folder among the inputs.
#[test]
fn bad_inputs_are_told_and_the_others_done() {
    let home = tempfile::tempdir().unwrap();
    let mut rows = table();
    fs::create_dir(home.path().join("folder.wav")).unwrap();
    for (name, bytes, _) in &rows {
        if let Some(bytes) = bytes {
            fs::write(home.path().join(name), bytes).unwrap();
        }
    }
    rows.insert(3, ("folder.wav", None, Want::Error(&["it is a folder", "name the files in it"])));
    let names = rows.iter().map(|(name, ..)| name);
    let output = command(home.path()).args(["-f", "txt,srt", "-o", "out"]).args(names).output().unwrap();
    let stderr = errors_of(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty(), "{}", text_of(&output));
    assert!(!stderr.contains("panicked"), "{stderr}");

    let mut wrong = Vec::new();
    let mut files = Vec::new();
    let mut failed = 0;
    for (name, _, want) in &rows {
        let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
        let (begins, kind, phrases) = match want {
            Want::Text(text) => (Some(*text), None, &[][..]),
            Want::Warning(text, phrases) => (Some(*text), Some("warning: "), *phrases),
            Want::Error(phrases) => (None, Some("error: "), *phrases),
        };
        if let Some(begins) = begins {
            files.extend([format!("{stem}.srt"), format!("{stem}.txt")]);
            let text = fs::read_to_string(home.path().join(format!("out/{stem}.txt"))).unwrap_or_default();
            let as_wanted = if kind.is_none() { text.trim_end() == begins } else { text.starts_with(begins) };
            if !as_wanted {
                wrong.push(format!("{name}: text {text:?}, want {begins:?}"));
            }
        } else {
            failed += 1;
        }
        // `NAME`: or NAME: after `cannot read`; NAME alone also where a file is said to be done.
        let about: Vec<_> = messages(&stderr)
            .into_iter()
            .filter(|message| ["error: ", "warning: "].iter().any(|kind| message.head.starts_with(kind)))
            .filter(|message| {
                let head = message.head;
                head.contains(&format!(" {name}: ")) || head.contains(&format!("`{name}`: "))
            })
            .collect();
        match (kind, about.as_slice()) {
            (None, []) => {}
            (Some(kind), [message]) if message.head.starts_with(kind) => {
                let told = format!("{} {}", message.head, message.hint);
                wrong.extend(
                    phrases
                        .iter()
                        .filter(|phrase| !told.contains(**phrase))
                        .map(|phrase| format!("{name}: no `{phrase}` in: {told}")),
                );
                if kind == "error: " && message.hint.is_empty() {
                    wrong.push(format!("{name}: nothing to do is said: {told}"));
                }
            }
            (kind, about) => wrong.push(format!("{name}: want one {kind:?}, got {about:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}\n\nstderr:\n{stderr}", wrong.join("\n"));
    files.sort();
    assert_eq!(list(&home.path().join("out")), files, "files, whole and half ones");
    let tally = format!("{} of {} files done, {failed} failed", rows.len() - failed, rows.len());
    assert!(stderr.contains(&tally), "no `{tally}` in: {stderr}");
}

#[test]
fn one_bad_input_alone_fails_without_text() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("nan.wav"), sounds::in_floats(Some((0, f32::NAN)))).unwrap();
    let output = command(home.path()).arg("nan.wav").output().unwrap();
    assert_one_error("nan", &output, 1, &["nan.wav", "sample 0 ", "not a number", "cut that part out"]);
    assert!(output.stdout.is_empty());
}

/// Runs the command with these bytes on its standard input.
fn piped(folder: &Path, arguments: &[&str], bytes: &[u8]) -> Output {
    let mut command = command(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that fails may leave without reading all.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait_with_output().unwrap()
}

#[test]
fn standard_input_is_read() {
    let home = tempfile::tempdir().unwrap();
    let samples = sounds::pcm();
    let mut odd = samples.clone();
    odd.push(0);
    let raw = ["--raw", "s16le:16000:1", "-"];
    for (what, arguments, bytes, warning) in
        [("samples", &raw[..], samples, None), ("samples and a byte", &raw, odd, Some("the last 1 bytes"))]
    {
        let output = piped(home.path(), arguments, &bytes);
        let stderr = errors_of(&output);
        assert!(output.status.success(), "{what}: {stderr}");
        assert_eq!(text_of(&output).trim_end(), TEXT, "{what}");
        assert_eq!(stderr.contains("warning"), warning.is_some(), "{what}: {stderr}");
        assert!(stderr.contains(warning.unwrap_or("")), "{what}: {stderr}");
    }
    for (what, arguments, bytes, phrases) in [
        ("nothing", &["-"][..], &b""[..], ["standard input", "it is empty"]),
        ("no samples", &raw, b"", ["standard input", "0 samples"]),
        ("no sound", &["-"], b"Call me Ishmael.", ["standard input", "not audio"]),
    ] {
        let output = piped(home.path(), arguments, bytes);
        assert_one_error(what, &output, 1, &phrases);
        assert!(output.stdout.is_empty(), "{what}");
    }
    let named = piped(home.path(), &["-f", "txt", "-o", "out", "-"], &sounds::good());
    assert!(named.status.success(), "{}", errors_of(&named));
    assert_eq!(list(&home.path().join("out")), ["stdin.txt"]);
    assert_eq!(fs::read_to_string(home.path().join("out/stdin.txt")).unwrap().trim_end(), TEXT);
}
