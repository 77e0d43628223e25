//! Inputs that are missing, damaged or not audio: a clear error, or what can be heard and a warning; never a panic.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests; what is skipped is named")]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use transcribe::audio::{Loaded, check_file, load_file, load_stream};
use transcribe::{Error, ErrorKind};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/audio").join(name)
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

fn load(bytes: Vec<u8>) -> Result<Loaded, Error> {
    load_stream(Box::new(Cursor::new(bytes)), "`input`", None)
}

/// Three parts, of the right kind, and the words that matter.
fn assert_says(error: &Error, why: &str) {
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    assert!(error.what().starts_with("cannot read `"), "{error}");
    assert!(error.why().contains(why), "want `{why}` in: {error}");
    assert!(!error.hint().is_empty(), "{error}");
}

/// A 16-bit mono wav at 16 kHz whose header claims `claimed` bytes of data.
fn wav(claimed: u32, data: &[u8]) -> Vec<u8> {
    let mut out = b"RIFF".to_vec();
    out.extend(claimed.saturating_add(36).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data");
    out.extend(claimed.to_le_bytes());
    out.extend(data);
    out
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.wav");
    std::fs::write(&empty, "").unwrap();
    for (path, why) in [
        (folder.path().join("missing.wav"), "no such file"),
        (folder.path().to_path_buf(), "it is a folder"),
        (empty, "it is empty"),
    ] {
        assert_says(&check_file(&path).unwrap_err(), why);
        let error = load_file(&path, None).unwrap_err();
        assert_says(&error, why);
        assert!(error.what().contains(&path.display().to_string()), "{error}");
        assert_says(&load_file(&path, Some(&"s16le:16000:1".parse().unwrap())).unwrap_err(), why);
    }
    assert_says(&load(Vec::new()).unwrap_err(), "it is empty");
}

#[cfg(unix)]
#[test]
fn a_file_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    std::fs::write(&path, wav(2, &[0, 0])).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    assert_says(&check_file(&path).unwrap_err(), "permission denied");
}

#[test]
fn what_is_not_audio() {
    let text = "Call me Ishmael. Some years ago, never mind how long precisely. ".repeat(200);
    assert_says(&load(text.into_bytes()).unwrap_err(), "not audio in a format that is known");
    assert_says(&load(b"RIFF".to_vec()).unwrap_err(), "not audio in a format that is known");
    assert_says(&load(bytes_of("video-only.mp4")).unwrap_err(), "no audio track");
    assert_says(&load(bytes_of("ac3.mkv")).unwrap_err(), "AC-3");
    // The audio object type in the `esds` descriptor (tag 5) turned from 2, AAC-LC, to 5, HE-AAC.
    let mut he_aac = bytes_of("tone.m4a");
    let config = [0x05, 0x80, 0x80, 0x80, 0x05];
    let at = he_aac.windows(5).position(|window| window == config).unwrap() + config.len();
    assert_eq!(he_aac[at] >> 3, 2, "AAC-LC");
    he_aac[at] = he_aac[at] & 7 | 5 << 3;
    let error = load(he_aac).unwrap_err();
    assert_says(&error, "HE-AAC");
    assert!(error.hint().contains("ffmpeg"), "{error}");
}

#[test]
fn headers_without_sound() {
    assert_says(&load(wav(0, &[])).unwrap_err(), "no sound");
    assert_says(&load(wav(1000, &[])).unwrap_err(), "no sound");
}

#[test]
fn samples_that_are_not_numbers() {
    let mut bytes = Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for n in 0..48_000 {
        writer.write_sample(if n == 24_001 { f32::NAN } else { 0.1 }).unwrap();
    }
    writer.finalize().unwrap();
    assert_says(&load(bytes.into_inner()).unwrap_err(), "sample 12000 (at 0.250 s) is not a number");
}

#[test]
fn a_claim_of_two_gigabytes_is_not_believed() {
    // As written into a pipe by programs that cannot know the length: nothing is missing.
    for claimed in [0x7fff_fff0, u32::MAX] {
        let loaded = load(wav(claimed, &[0x11; 3200])).unwrap();
        assert_eq!(
            (loaded.samples.as_slice().len(), loaded.warnings.len()),
            (1600, 0),
            "{:?}",
            loaded.warnings
        );
    }
}

#[test]
fn a_truncated_wav_gives_what_is_there() {
    let loaded = load(wav(320_000, &[0x11; 64_001])).unwrap();
    assert!(
        (31_999..=32_000).contains(&loaded.samples.as_slice().len()),
        "{}",
        loaded.samples.as_slice().len()
    );
    assert!(loaded.warnings[0].contains("2.00 s are there"), "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("promises 10.00 s"), "{:?}", loaded.warnings);
}

#[test]
fn other_files_cut_in_the_middle() {
    // Cut at so many percent: about half of the sound, after 8 KiB of padding in the flac and 4 KiB of Vorbis's tables.
    // What promises a length, or breaks off within a page, gets a warning; ADTS cannot know.
    for (name, percent, warns) in [
        ("tone.mp3", 60, true),
        ("tone.flac", 75, true),
        ("tone.ogg", 85, true),
        ("tone.opus", 60, true),
        ("tone.webm", 60, true),
        ("tone.mkv", 85, true),
        ("tone.aac", 60, false),
        ("tone-faststart.mp4", 60, true),
    ] {
        let mut bytes = bytes_of(name);
        bytes.truncate(bytes.len() * percent / 100);
        let loaded = load(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let seconds = loaded.samples.seconds();
        assert!((0.3..1.2).contains(&seconds), "{name}: {seconds} s, {:?}", loaded.warnings);
        assert_eq!(!loaded.warnings.is_empty(), warns, "{name}: {:?}", loaded.warnings);
    }
    // Here the table of contents is at the end, and so lost.
    let mut bytes = bytes_of("tone.m4a");
    bytes.truncate(bytes.len() * 6 / 10);
    assert_eq!(load(bytes).unwrap_err().kind(), ErrorKind::Input);
}

#[test]
fn damage_in_the_middle_does_not_move_what_follows() {
    for (name, seconds) in [("tone.mp3", 1.5), ("tone.aac", 1.5), ("tone.flac", 1.2)] {
        let mut bytes = bytes_of(name);
        let len = bytes.len();
        let at = len * 3 / 4;
        for (n, byte) in bytes[at..at + 300].iter_mut().enumerate() {
            *byte = (n * 89 + 3) as u8;
        }
        let loaded = load(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let got = loaded.samples.seconds();
        // A container may swallow what it cannot find the beginning of: here two packets.
        assert!((seconds - 0.15..=seconds + 0.05).contains(&got), "{name}: {got} s, {:?}", loaded.warnings);
    }
}

#[test]
fn damage_that_costs_more_is_said() {
    // A block or page whose beginning is not found is lost without a trace, and in Matroska the rest of the cluster.
    for (name, percent) in [("tone.webm", 75), ("tone.mkv", 75), ("tone.ogg", 70), ("tone.opus", 40)] {
        let mut bytes = bytes_of(name);
        let at = bytes.len() * percent / 100;
        bytes[at..at + 300].fill(0x00);
        let loaded = load(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let seconds = loaded.samples.seconds();
        assert!(seconds > 0.5, "{name}: {seconds} s");
        assert!(seconds > 1.4 || !loaded.warnings.is_empty(), "{name}: {seconds} s and no warning");
    }
}

const FIXTURES: [&str; 12] = [
    "tone.mp3",
    "tone.flac",
    "tone.ogg",
    "tone.opus",
    "tone-5.1.opus",
    "tone.webm",
    "tone.mkv",
    "tone.aac",
    "tone.m4a",
    "tone-faststart.mp4",
    "tone-opus.mp4",
    "tone-alac.m4a",
];

/// Whatever it is, it ends, in samples that are sound or in an error about the input.
fn assert_survives(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    match load(bytes) {
        Ok(loaded) => prop_assert!(loaded.samples.as_slice().iter().all(|sample| sample.is_finite())),
        Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Input, "{}", error),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_after_a_known_mark(
        mark in prop::sample::select(vec![
            &b""[..], b"RIFF\0\0\0\0WAVEfmt ", b"FORM\0\0\0\0AIFFCOMM", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"ID3\x04\0\0",
            b"\xff\xfb\x90\x44", b"\xff\xf1\x50\x80", b"\x1a\x45\xdf\xa3", b"\0\0\0\x18ftypM4A ", b"caff\0\x01\0\0desc",
        ]),
        body in prop::collection::vec(any::<u8>(), 0..4096),
    ) {
        assert_survives([mark, &body].concat())?;
    }

    #[test]
    fn files_with_bytes_changed(
        name in prop::sample::select(FIXTURES.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        in_header in any::<bool>(),
    ) {
        let mut bytes = bytes_of(name);
        let range = if in_header { 400 } else { bytes.len() };
        for (place, value) in changes {
            bytes[place.index(range)] = value;
        }
        assert_survives(bytes)?;
    }

    #[test]
    fn wavs_with_any_header(
        header in prop::collection::vec((36usize..44, any::<u8>()), 0..4),
        format in prop::collection::vec((16usize..36, any::<u8>()), 1..6),
        data in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let mut bytes = wav(data.len() as u32, &data);
        for (place, value) in header.into_iter().chain(format) {
            bytes[place] = value;
        }
        assert_survives(bytes)?;
    }

    #[test]
    fn parts_cut_out(name in prop::sample::select(FIXTURES.to_vec()), from in any::<prop::sample::Index>(), len in 0usize..5000) {
        let mut bytes = bytes_of(name);
        let from = from.index(bytes.len());
        let end = (from + len).min(bytes.len());
        bytes.drain(from..end);
        assert_survives(bytes)?;
    }
}
