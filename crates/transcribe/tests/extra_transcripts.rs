//! Whole files under two dozen sets of options, against openai-whisper's `transcribe()` on the bundled weights.
//!
//! The files are joined from the samples and silence. `tests/data/models/PROVENANCE.md` says where the expected values
//! come from; they hold how near a tie the reference was, and no case is near one: a token that differs is a fault.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests; one says what it compared")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Map, Value};
use transcribe::decoding::Task;
use transcribe::mel::{N_SAMPLES, log_mel};
use transcribe::model::{self, ModelSource, OpenOptions, WhisperModel};
use transcribe::pipeline::{self, TranscribeOptions};
use transcribe::speech_model::SpeechModel;
use transcribe::{Segment, Transcription, audio};
use whisper_encoder::{CancelToken, Device, Precision};

/// Cases that every run makes: of each option one, and the longest prompt. `WHISPER_ALL_TRANSCRIPTS=1` makes all.
const USUAL: [&str; 13] = [
    "beam3_patience",
    "carry_initial_prompt",
    "clip_open_end",
    "clips",
    "hallucination_silence_de",
    "language_de",
    "pause_no_speech",
    "prefix",
    "prompt_overflows",
    "sample_len",
    "suppress_some",
    "translate",
    "words",
];

/// Mean log-probabilities and no-speech probabilities: two f32 forward passes of one model.
const PROBABILITY: f64 = 1e-3;
/// Times that come from timestamp tokens are multiples of 0.02 s: only f64 rounding can differ.
const TOKEN_TIME: f64 = 1e-6;
/// Times of words come from a path through attention, whose ties fall either way: one encoder position.
const WORD_TIME: f64 = 0.02;
/// Share of words that must be in time.
const WORDS_IN_TIME: f64 = 0.99;

/// The file of expected values.
#[derive(Deserialize)]
struct Oracle {
    audio: BTreeMap<String, Vec<Part>>,
    cases: BTreeMap<String, Case>,
}

/// A part of a file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    /// Seconds.
    Silence(f64),
    /// Name of a sample.
    Clip(String),
}

/// One call of `transcribe()`.
#[derive(Deserialize)]
struct Case {
    audio: String,
    /// Arguments, where they differ from OpenAI's defaults.
    options: Map<String, Value>,
    margins: Margins,
    language: String,
    text: String,
    segments: Vec<Expected>,
}

/// The least distance to another choice, over all steps of all windows; none for beam search.
#[derive(Deserialize)]
struct Margins {
    token: Option<f64>,
    timestamp_rule: Option<f64>,
}

#[derive(Deserialize)]
struct Expected {
    id: usize,
    seek: usize,
    start: f64,
    end: f64,
    text: String,
    tokens: Vec<u32>,
    temperature: f64,
    avg_logprob: f64,
    compression_ratio: f32,
    no_speech_prob: f64,
    /// Word, start, end, probability.
    words: Option<Vec<(String, f64, f64, f64)>>,
}

/// Words compared, and how many of them were in time.
#[derive(Debug, Default)]
struct Words {
    all: usize,
    in_time: usize,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn oracle() -> Oracle {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models/extra_transcripts.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bundled() -> &'static WhisperModel {
    static MODEL: OnceLock<WhisperModel> = OnceLock::new();
    MODEL.get_or_init(|| {
        let folder = repository().join("models/whisper-base-int8");
        let files = model::folder::open(&folder, "bundled", ModelSource::Bundled).unwrap();
        let options =
            OpenOptions { device: Device::Cpu, precision: Precision::F32, ..OpenOptions::default() };
        model::open(&files, &options).unwrap()
    })
}

/// The joined file, sample for sample as the reference had it.
fn join(parts: &[Part]) -> Vec<f32> {
    let mut samples = Vec::new();
    for part in parts {
        match part {
            Part::Silence(seconds) => samples.resize(samples.len() + (seconds * 16e3).round() as usize, 0.0),
            Part::Clip(name) => {
                let path = repository().join(format!("samples/{name}.wav"));
                samples.extend(audio::load_file(&path, None).unwrap().samples.as_slice());
            }
        }
    }
    samples
}

/// OpenAI's arguments as ours; the default temperature is 0 alone, as in the oracle.
fn options(arguments: &Map<String, Value>) -> TranscribeOptions {
    let mut options = TranscribeOptions { temperatures: vec![0.0], ..TranscribeOptions::default() };
    let decoding = &mut options.decoding;
    for (name, value) in arguments {
        let text = || value.as_str().unwrap().to_owned();
        let number = || value.as_f64();
        let numbers = || value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        let switch = || value.as_bool().unwrap();
        let count = || Some(usize::try_from(value.as_u64().unwrap()).unwrap());
        match name.as_str() {
            "language" => decoding.language = Some(text()),
            "task" => decoding.task = if text() == "translate" { Task::Translate } else { Task::Transcribe },
            "temperature" => options.temperatures = numbers(),
            "prefix" => {
                decoding.prefix = bundled().tokenizer().encode(&format!(" {}", text().trim())).unwrap();
            }
            "suppress_tokens" => {
                let ids = text();
                decoding.suppress_tokens =
                    ids.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().unwrap()).collect();
            }
            "without_timestamps" => decoding.without_timestamps = switch(),
            "max_initial_timestamp" => decoding.max_initial_timestamp = number(),
            "sample_len" => decoding.sample_len = count(),
            "beam_size" => decoding.beam_size = count(),
            "patience" => decoding.patience = number(),
            "length_penalty" => decoding.length_penalty = number(),
            "condition_on_previous_text" => options.condition_on_previous_text = switch(),
            "word_timestamps" => options.word_timestamps = switch(),
            "initial_prompt" => options.initial_prompt = Some(text()),
            "carry_initial_prompt" => options.carry_initial_prompt = switch(),
            "clip_timestamps" => options.clip_timestamps = numbers(),
            "hallucination_silence_threshold" => options.hallucination_silence_threshold = number(),
            "logprob_threshold" => options.logprob_threshold = number(),
            "no_speech_threshold" => options.no_speech_threshold = number(),
            other => panic!("the oracle has an option that this test does not know: {other}"),
        }
    }
    options
}

/// Differences of one case from the oracle.
struct Comparison<'a> {
    differences: Vec<String>,
    words: &'a mut Words,
}

impl Comparison<'_> {
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, got: T, want: T) {
        if got != want {
            self.differences.push(format!("{what}: got {got:?}, want {want:?}"));
        }
    }

    fn near(&mut self, what: &str, got: f64, want: f64, bound: f64) {
        // A little more, as differences of decimal fractions are not exact.
        if got.is_nan() || (got - want).abs() > bound + 1e-9 {
            self.differences.push(format!("{what}: got {got}, want {want} ± {bound}"));
        }
    }

    fn file(&mut self, got: &Transcription, want: &Case) {
        self.same("language", &got.language, &want.language);
        self.same("text", &got.text, &want.text);
        self.same("segments", got.segments.len(), want.segments.len());
        for (got, want) in got.segments.iter().zip(&want.segments) {
            self.segment(got, want);
        }
    }

    fn segment(&mut self, got: &Segment, want: &Expected) {
        let at = |what: &str| format!("segment {} {what}", want.id);
        let time = if want.words.is_some() { WORD_TIME } else { TOKEN_TIME };
        self.same(&at("id"), got.id, want.id);
        self.same(&at("seek"), got.seek, want.seek);
        self.same(&at("tokens"), &got.tokens, &want.tokens);
        self.same(&at("text"), &got.text, &want.text);
        self.near(&at("start"), got.start, want.start, time);
        self.near(&at("end"), got.end, want.end, time);
        self.near(&at("temperature"), got.temperature, want.temperature, 0.0);
        self.near(&at("avg_logprob"), got.avg_logprob, want.avg_logprob, PROBABILITY);
        self.near(&at("no_speech_prob"), got.no_speech_prob, want.no_speech_prob, PROBABILITY);
        // Stored as f32; a quotient of two whole numbers, it is equal or quite another.
        self.same(&at("compression_ratio"), got.compression_ratio as f32, want.compression_ratio);
        let texts = |segment: &Segment| {
            segment.words.as_ref().map(|words| words.iter().map(|word| word.word.clone()).collect::<Vec<_>>())
        };
        let want_texts =
            want.words.as_ref().map(|words| words.iter().map(|word| word.0.clone()).collect::<Vec<_>>());
        self.same(&at("words"), texts(got), want_texts);
        for (word, (text, start, end, probability)) in
            got.words.iter().flatten().zip(want.words.iter().flatten())
        {
            self.words.all += 1;
            let off = (word.start - start).abs().max((word.end - end).abs());
            if off <= WORD_TIME + 1e-9 {
                self.words.in_time += 1;
            } else {
                println!("  {}: off by {off:.2} s: {word:?}, want {start} to {end}", at(text));
            }
            self.near(&at(&format!("probability of{text}")), word.probability, *probability, PROBABILITY);
        }
    }
}

#[test]
fn whole_files_agree_under_every_option() {
    let oracle = oracle();
    let model = bundled();
    assert_eq!(oracle.cases.len(), 26, "cases in the oracle");
    let all = std::env::var_os("WHISPER_ALL_TRANSCRIPTS").is_some_and(|value| !value.is_empty());
    let unknown = USUAL.iter().find(|name| !oracle.cases.contains_key(**name));
    assert!(unknown.is_none(), "not in the oracle: {unknown:?}");
    let mut words = Words::default();
    let mut failed = Vec::new();
    for (name, case) in &oracle.cases {
        if !all && !USUAL.contains(&name.as_str()) {
            println!("{name}: skipped, as WHISPER_ALL_TRANSCRIPTS is not set");
            continue;
        }
        let near = [case.margins.token, case.margins.timestamp_rule].into_iter().flatten();
        let near = near.fold(f64::INFINITY, f64::min);
        assert!(near > 1e-3, "{name}: the reference itself is {near} from a tie: take another case");
        let mel = log_mel(&join(&oracle.audio[&case.audio]), N_SAMPLES, model.config().n_mels).unwrap();
        let started = std::time::Instant::now();
        let result =
            pipeline::transcribe(model, &mel, &options(&case.options), &CancelToken::new(), &mut |_| {});
        let mut comparison = Comparison { differences: Vec::new(), words: &mut words };
        match result {
            Ok(got) => comparison.file(&got, case),
            Err(error) => comparison.differences.push(error.to_string()),
        }
        let differences = comparison.differences;
        println!("{name}: {:.1} s, {} differences", started.elapsed().as_secs_f64(), differences.len());
        if !differences.is_empty() {
            failed.push(format!("{name} {:?}\n    {}", case.options, differences.join("\n    ")));
        }
    }
    println!("words in time: {} of {}", words.in_time, words.all);
    assert!(failed.is_empty(), "{} cases differ:\n  {}", failed.len(), failed.join("\n  "));
    assert!(words.all > 100, "{words:?}");
    assert!(words.in_time as f64 >= WORDS_IN_TIME * words.all as f64, "{words:?}");
}
