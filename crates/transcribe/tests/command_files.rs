//! The files that the command writes, against those that OpenAI's own command wrote with the same options.
//!
//! `tests/data/models/command/make.py` says how; text, subtitles and table must be equal byte for byte, the json too but
//! for the last digits of probabilities.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two f32 forward passes of one model differ by no more in what is derived from their logits.
const PROBABILITY: f64 = 1e-3;

/// Options as given to OpenAI's command (its spellings).
const COMMON: [&str; 10] = [
    "--beam_size",
    "None",
    "--temperature",
    "0",
    "--language",
    "en",
    "--fp16",
    "False",
    "--word_timestamps",
    "True",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn expected(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models/command").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The three samples with 0.5 s of silence after each, as 16 kHz mono s16.
fn clips(path: &Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut out = hound::WavWriter::create(path, spec).unwrap();
    for name in ["SS-0870", "SS-0880", "SS-0890"] {
        let clip = hound::WavReader::open(repository().join(format!("samples/{name}.wav"))).unwrap();
        clip.into_samples::<i16>().for_each(|sample| out.write_sample(sample.unwrap()).unwrap());
        (0..8000).for_each(|_| out.write_sample(0i16).unwrap());
    }
    out.finalize().unwrap();
}

/// Runs the command in `folder`; its files lie in `folder/NAME` then.
fn run(folder: &Path, name: &str, options: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transcribe"));
    command.current_dir(folder).args(["clips.wav", "--output_dir", name]).args(COMMON).args(options);
    command.arg("--model").arg(repository().join("models/whisper-base-int8")).args([
        "--device",
        "cpu",
        "--precision",
        "f32",
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

fn assert_same(file: &str, got: &str) {
    let want = expected(file);
    let line = got.lines().zip(want.lines()).position(|(got, want)| got != want);
    let line = line.unwrap_or_else(|| got.lines().count().min(want.lines().count()));
    assert!(
        got == want,
        "{file}, line {}:\n got {:?}\nwant {:?}",
        line + 1,
        got.lines().nth(line),
        want.lines().nth(line)
    );
}

/// The text of a json with `#` in place of every fraction, and the fractions with the keys before them.
fn without_fractions(json: &str) -> (String, Vec<(String, f64)>) {
    let (mut rest, mut key, mut skeleton, mut fractions) = (json, "", String::new(), Vec::new());
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' => {
                let mut escaped = false;
                let end = rest[1..].find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                end.unwrap() + 2
            }
            '-' | '0'..='9' => {
                rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(rest.len())
            }
            other => other.len_utf8(),
        };
        let (token, after) = rest.split_at(len);
        if first == '"' && after.starts_with(": ") {
            key = token.trim_matches('"');
        }
        match token.parse::<f64>() {
            Ok(number) if token.contains(['.', 'e']) => {
                skeleton.push('#');
                fractions.push((key.to_owned(), number));
            }
            _ => skeleton.push_str(token),
        }
        rest = after;
    }
    (skeleton, fractions)
}

fn assert_same_json(file: &str, got: &str) {
    let (got, got_fractions) = without_fractions(got);
    let (want, want_fractions) = without_fractions(&expected(file));
    let at = got.chars().zip(want.chars()).take_while(|(got, want)| got == want).count();
    let near = |text: &str| text.chars().skip(at.saturating_sub(40)).take(80).collect::<String>();
    assert!(got == want, "{file}, character {at}:\n got {:?}\nwant {:?}", near(&got), near(&want));
    for ((key, got), (_, want)) in got_fractions.iter().zip(&want_fractions) {
        let bound = match key.as_str() {
            "avg_logprob" | "no_speech_prob" | "probability" => PROBABILITY,
            _ => 0.0,
        };
        assert!((got - want).abs() <= bound, "{file}: {key}: got {got}, want {want} ± {bound}");
    }
    assert!(want_fractions.len() > 50, "{file}: only {} fractions", want_fractions.len());
}

#[test]
fn files_are_those_of_openai() {
    let folder = tempfile::tempdir().unwrap();
    clips(&folder.path().join("clips.wav"));
    for (name, formats, options) in [
        ("words", &["txt", "vtt", "srt", "tsv", "json"][..], &["--output_format", "all"][..]),
        (
            "lines",
            &["vtt", "srt"],
            &[
                "-f",
                "vtt,srt",
                "--highlight_words",
                "True",
                "--max_line_width",
                "22",
                "--max_line_count",
                "2",
            ],
        ),
        ("counted", &["vtt", "srt"], &["-f", "vtt,srt", "--max_words_per_line", "4"]),
    ] {
        run(folder.path(), name, options);
        let mut written: Vec<String> = fs::read_dir(folder.path().join(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut files: Vec<String> = formats.iter().map(|format| format!("clips.{format}")).collect();
        written.sort();
        files.sort();
        assert_eq!(written, files, "{name}");
        for file in files {
            let file = format!("{name}/{file}");
            let got = fs::read_to_string(folder.path().join(&file)).unwrap();
            if file.ends_with("json") { assert_same_json(&file, &got) } else { assert_same(&file, &got) }
        }
    }
}

#[test]
fn the_comparison_of_jsons_sees_differences() {
    let (skeleton, fractions) =
        without_fractions(r#"{"a": "1.5 \" 2.5", "b": [1, -2.5, {"c": 1e-05}], "d": NaN}"#);
    assert_eq!(skeleton, r##"{"a": "1.5 \" 2.5", "b": [1, #, {"c": #}], "d": NaN}"##);
    assert_eq!(fractions, [("b".to_owned(), -2.5), ("c".to_owned(), 1e-5)]);
}
