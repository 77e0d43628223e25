//! The writers against OpenAI's utils.py (`tests/data/writer/generate.py`), byte for byte.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde::Deserialize;
use transcribe::writer::{Format, WriterOptions};
use transcribe::{Segment, Transcription, Word};

#[derive(Deserialize)]
struct Fixture {
    options: Vec<Options>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Options {
    #[serde(default)]
    highlight_words: bool,
    max_line_width: Option<usize>,
    max_line_count: Option<usize>,
    max_words_per_line: Option<usize>,
}

/// Format, and for each different text the numbers of the options that give it.
type Outputs = Vec<(String, Vec<(Vec<usize>, String)>)>;

#[derive(Deserialize)]
struct Case {
    result: StoredResult,
    outputs: Outputs,
}

#[derive(Deserialize)]
struct StoredResult {
    text: String,
    segments: Vec<StoredSegment>,
    language: String,
}

#[derive(Deserialize)]
struct StoredSegment {
    id: usize,
    seek: usize,
    start: String,
    end: String,
    text: String,
    tokens: Vec<u32>,
    temperature: String,
    avg_logprob: String,
    compression_ratio: String,
    no_speech_prob: String,
    words: Option<Vec<StoredWord>>,
}

#[derive(Deserialize)]
struct StoredWord {
    word: String,
    start: String,
    end: String,
    probability: String,
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn word(stored: StoredWord) -> Word {
    let (start, end, probability) = (number(&stored.start), number(&stored.end), number(&stored.probability));
    Word { word: stored.word, start, end, probability }
}

fn segment(stored: StoredSegment) -> Segment {
    Segment {
        id: stored.id,
        seek: stored.seek,
        start: number(&stored.start),
        end: number(&stored.end),
        text: stored.text,
        tokens: stored.tokens,
        temperature: number(&stored.temperature),
        avg_logprob: number(&stored.avg_logprob),
        compression_ratio: number(&stored.compression_ratio),
        no_speech_prob: number(&stored.no_speech_prob),
        words: stored.words.map(|words| words.into_iter().map(word).collect()),
    }
}

/// Compares every output of every case; returns how many there were.
fn compare(path: &Path) -> usize {
    let fixture: Fixture = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut compared = 0;
    for (i, case) in fixture.cases.into_iter().enumerate() {
        let StoredResult { text, segments, language } = case.result;
        let result = Transcription { text, language, segments: segments.into_iter().map(segment).collect() };
        for (format, texts) in case.outputs {
            let formats = Format::named(&format);
            assert_eq!(formats.len(), 1, "{format}");
            let writer = formats[0].writer();
            assert_eq!(writer.extension(), format);
            for (numbers, want) in texts {
                for number in numbers {
                    let Options { highlight_words, max_line_width, max_line_count, max_words_per_line } =
                        fixture.options[number];
                    let options =
                        WriterOptions { highlight_words, max_line_width, max_line_count, max_words_per_line };
                    let mut got = Vec::new();
                    writer.write(&result, &options, &mut got).unwrap();
                    let got = String::from_utf8(got).unwrap();
                    assert_eq!(got, want, "case {i}, {format}, {options:?}");
                    compared += 1;
                }
            }
        }
    }
    compared
}

#[test]
fn every_format_equals_openai() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/writer/expected.json");
    // 21 results, each in txt, tsv, json once and in srt, vtt with 11 sets of options.
    assert_eq!(compare(&path), 21 * (3 + 2 * 11));
}

/// As many random results as wanted, in the file that WRITER_RESULTS names; generate.py makes it.
#[test]
#[ignore = "needs a file made by generate.py"]
fn random_results_equal_openai() {
    assert!(compare(&PathBuf::from(std::env::var("WRITER_RESULTS").unwrap())) > 0);
}
