//! Word times against OpenAI's timing.py over a made-up model (`tests/data/timing/generate.py`).
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use std::path::{Path, PathBuf};

use serde::Deserialize;
use transcribe::decoding::{Inference, Task};
use transcribe::speech_model::{Alignment, SpeechModel};
use transcribe::timing::add_word_timestamps;
use transcribe::tokenizer::Tokenizer;
use transcribe::tokenizer::testing::{Layout, small};
use transcribe::{Error, ErrorKind, Result, Segment};
use whisper_encoder::{CancelToken, Config, LogMel};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    multilingual: bool,
    language: String,
    task: String,
    centres: Vec<u32>,
    frames: usize,
    seed: u64,
    num_frames: usize,
    token_probs: Vec<String>,
    last_speech_timestamp: String,
    prepend: String,
    append: String,
    segments: Vec<StoredSegment>,
    expected: Vec<ExpectedSegment>,
}

#[derive(Deserialize)]
struct StoredSegment {
    seek: usize,
    start: String,
    end: String,
    tokens: Vec<u32>,
}

#[derive(Deserialize, Debug, PartialEq)]
struct ExpectedSegment {
    start: String,
    end: String,
    words: Vec<(String, String, String, String)>,
}

/// Knows only how it aligns.
struct Scripted {
    tokenizer: Tokenizer,
    config: Config,
    sot_sequence: Vec<u32>,
    text_tokens: Vec<u32>,
    alignment: Alignment,
}

fn not_scripted() -> Error {
    Error::new(ErrorKind::Internal, "not scripted", "", "")
}

impl SpeechModel for Scripted {
    type Audio = ();

    fn config(&self) -> &Config {
        &self.config
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn encode(&self, _: &LogMel, _: &CancelToken) -> Result<()> {
        Err(not_scripted())
    }

    fn inference<'a>(&'a self, (): &'a (), _: &'a CancelToken) -> Result<Box<dyn Inference + 'a>> {
        Err(not_scripted())
    }

    fn align(
        &self,
        (): &(),
        sot_sequence: &[u32],
        text_tokens: &[u32],
        _: &CancelToken,
    ) -> Result<Alignment> {
        assert_eq!((sot_sequence, text_tokens), (&self.sot_sequence[..], &self.text_tokens[..]));
        Ok(self.alignment.clone())
    }
}

/// As `scores` in generate.py: noise in 0 .. 2 and a peak of height 6 about each token's centre.
fn scores(heads: u64, centres: &[u32], frames: usize, seed: u64) -> Vec<f32> {
    const LOW: u64 = 0xFFFF_FFFF;
    let mut qk = Vec::new();
    for h in 0..heads {
        for (t, centre) in (0..).zip(centres) {
            for f in 0..frames as u64 {
                let mixed = (h * 73_856_093) ^ (t * 19_349_663) ^ (f * 83_492_791);
                let x = (mixed ^ seed.wrapping_mul(2_654_435_761)) & LOW;
                let x = (x * 1_103_515_245 + 12_345) & LOW;
                let x = (((x >> 13) ^ x) * 1_103_515_245 + 12_345) & LOW;
                let noise = (x >> 16) as f64 / 32_768.0;
                let distance = (f as f64 - f64::from(*centre)).abs();
                qk.push((noise + (6.0 - distance * 0.5).max(0.0)) as f32);
            }
        }
    }
    qk
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn model(case: &Case, task: Task) -> Scripted {
    let layout = if case.multilingual { Layout::Multilingual } else { Layout::English };
    let tokenizer = small(layout).unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizer/config.json");
    let eot = tokenizer.eot();
    let text_tokens = case.segments.iter().flat_map(|s| s.tokens.clone()).filter(|t| *t < eot).collect();
    let alignment = Alignment {
        heads: 3,
        tokens: case.centres.len(),
        frames: case.frames,
        qk: scores(3, &case.centres, case.frames, case.seed),
        token_probs: case.token_probs.iter().map(|p| number(p) as f32).collect(),
    };
    let sot_sequence = tokenizer.sot_sequence(&case.language, task).unwrap();
    Scripted { tokenizer, config: Config::open(&config).unwrap(), sot_sequence, text_tokens, alignment }
}

fn segment(stored: &StoredSegment) -> Segment {
    Segment {
        id: 0,
        seek: stored.seek,
        start: number(&stored.start),
        end: number(&stored.end),
        text: String::new(),
        tokens: stored.tokens.clone(),
        temperature: 0.0,
        avg_logprob: 0.0,
        compression_ratio: 1.0,
        no_speech_prob: 0.0,
        words: None,
    }
}

/// Rust's shortest digits are Python's; exponents are written otherwise.
fn same(got: &[Segment], want: &[ExpectedSegment]) -> bool {
    let bits = |text: &str| number(text).to_bits();
    got.len() == want.len()
        && got.iter().zip(want).all(|(got, want)| {
            let words = got.words.as_deref().unwrap();
            got.start.to_bits() == bits(&want.start)
                && got.end.to_bits() == bits(&want.end)
                && words.len() == want.words.len()
                && words.iter().zip(&want.words).all(|(word, (text, start, end, probability))| {
                    word.word == *text
                        && word.start.to_bits() == bits(start)
                        && word.end.to_bits() == bits(end)
                        && word.probability.to_bits() == bits(probability)
                })
        })
}

/// What differs, and the number of words compared.
fn compare(path: &Path) -> (Vec<String>, usize) {
    let fixture: Fixture = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut different, mut words) = (Vec::new(), 0);
    for (i, case) in fixture.cases.iter().enumerate() {
        let task = if case.task == "translate" { Task::Translate } else { Task::Transcribe };
        let model = model(case, task);
        let mut segments: Vec<Segment> = case.segments.iter().map(segment).collect();
        add_word_timestamps(
            &mut segments,
            &model,
            &(),
            case.num_frames,
            &case.language,
            task,
            &case.prepend,
            &case.append,
            number(&case.last_speech_timestamp),
            &CancelToken::new(),
        )
        .unwrap();
        words += case.expected.iter().map(|segment| segment.words.len()).sum::<usize>();
        if !same(&segments, &case.expected) {
            different.push(format!(
                "case {i}, {} mel frames\n got {segments:?}\nwant {:?}",
                case.num_frames, case.expected
            ));
        }
    }
    (different, words)
}

#[test]
fn word_times_equal_openai_to_the_last_bit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/timing/expected-whole.json");
    let (different, words) = compare(&path);
    assert!(words > 200, "{words}");
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

/// As many random cases as wanted, in the file that TIMING_CASES names; generate.py makes it.
#[test]
#[ignore = "needs a file made by generate.py"]
fn random_word_times_equal_openai() {
    let (different, words) = compare(&PathBuf::from(std::env::var("TIMING_CASES").unwrap()));
    assert!(words > 0 && different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn an_alignment_of_another_shape_is_an_error() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/timing/expected-whole.json");
    let fixture: Fixture = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let case = &fixture.cases[0];
    for damage in [
        |a: &mut Alignment| a.heads = 0,
        |a: &mut Alignment| a.tokens += 1,
        |a: &mut Alignment| a.frames += 1,
        |a: &mut Alignment| a.token_probs.clear(),
    ] {
        let mut model = model(case, Task::Transcribe);
        damage(&mut model.alignment);
        let mut segments: Vec<Segment> = case.segments.iter().map(segment).collect();
        let error = add_word_timestamps(
            &mut segments,
            &model,
            &(),
            case.num_frames,
            &case.language,
            Task::Transcribe,
            "",
            "",
            0.0,
            &CancelToken::new(),
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    }
}
