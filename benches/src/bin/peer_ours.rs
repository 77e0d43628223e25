//! Our side of the comparison in `benches/peers`: opens a model in a process of its own, measures one task and prints
//! JSON, with the fields of `benches/peers/worker.py`.
//!
//! `peer_ours --model FOLDER --audio clip.wav --task window --runs 5 --threads 2 --precision auto`

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};
use transcribe::audio::load_file;
use transcribe::decoding::{DecodingOptions, WindowDecoder};
use transcribe::mel::{N_SAMPLES, log_mel, pad_or_trim};
use transcribe::model::{self, Device, LevelKind, ModelSource, OpenOptions, Precision, WhisperModel};
use transcribe::pipeline::{self, TranscribeOptions};
use transcribe::speech_model::SpeechModel;
use whisper_encoder::CancelToken;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "give --model FOLDER --audio WAV [--task window|file] [--runs N] [--threads N] [--precision P] [--level L]";

/// What to measure.
struct Args {
    model: PathBuf,
    audio: PathBuf,
    task: String,
    runs: usize,
    threads: usize,
    precision: Precision,
    level: Option<LevelKind>,
}

fn main() -> Result<()> {
    let begin = Instant::now();
    let args = Args::parse(std::env::args().skip(1))?;
    let files = model::folder::open(&args.model, "bundled", ModelSource::Path)?;
    let options = OpenOptions {
        device: Device::Cpu,
        precision: args.precision,
        threads: Some(args.threads),
        level: args.level,
        ..OpenOptions::default()
    };
    let model = model::open(&files, &options)?;
    let load_ms = ms(begin);
    let audio = load_file(&args.audio, None)?;
    let samples = audio.samples.as_slice();
    let mut report = json!({
        "peer": format!("ours {}", args.precision.name()),
        "task": args.task,
        "threads": args.threads,
        "versions": { "transcribe": env!("CARGO_PKG_VERSION") },
        "load_ms": load_ms,
        "cold": window(&model, samples)?,
    });
    if args.task == "window" {
        let runs: Result<Vec<Value>> = (0..args.runs).map(|_| window(&model, samples)).collect();
        report["runs"] = runs?.into();
    } else {
        let begin = Instant::now();
        let mel = log_mel(samples, N_SAMPLES, model.config().n_mels)?;
        let options = TranscribeOptions { decoding: english(), ..TranscribeOptions::default() };
        let whole = pipeline::transcribe(&model, &mel, &options, &CancelToken::new(), &mut |_| {})?;
        report["file_ms"] = ms(begin).into();
        report["text"] = whole.text.into();
    }
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// One window of 30 s from samples to text: greedy, English, with timestamps.
fn window(model: &WhisperModel, samples: &[f32]) -> Result<Value> {
    let cancel = CancelToken::new();
    let begin = Instant::now();
    let mel = log_mel(&pad_or_trim(samples, N_SAMPLES), 0, model.config().n_mels)?;
    let mel_ms = ms(begin);
    // The two halves of `SpeechModel::encode`, timed within the one run: a second encode for the stopwatch would be
    // another measurement, and their difference anything.
    let lap = Instant::now();
    let features = model.features(&mel, &cancel)?;
    let encode_ms = ms(lap);
    let audio = model.decoder().cross_cache(&features, &cancel)?;
    let result = WindowDecoder::new(model.tokenizer(), model.config())?
        .decode(&mut *model.inference(&audio, &cancel)?, &english())?;
    let total_ms = ms(begin);
    Ok(json!({
        "total_ms": total_ms,
        "mel_ms": mel_ms,
        "encode_ms": encode_ms,
        // Like a peer's: all that is neither mel nor encoder.
        "decode_ms": total_ms - mel_ms - encode_ms,
        "tokens": result.tokens.len() + 1,
        "text": result.text,
    }))
}

fn precision(name: &str) -> Result<Precision> {
    [Precision::Auto, Precision::F32, Precision::Bf16, Precision::Int8]
        .into_iter()
        .find(|precision| precision.name() == name)
        .ok_or_else(|| format!("no precision is called {name}: {USAGE}").into())
}

fn level(name: &str) -> Result<LevelKind> {
    let named = LevelKind::ALL.into_iter().find(|level| level.name() == name);
    named.ok_or_else(|| format!("no level is called {name}: {USAGE}").into())
}

fn english() -> DecodingOptions {
    DecodingOptions { language: Some("en".into()), ..DecodingOptions::default() }
}

fn ms(since: Instant) -> f64 {
    1e3 * since.elapsed().as_secs_f64()
}

impl Args {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut args = Self {
            model: PathBuf::new(),
            audio: PathBuf::new(),
            task: "window".into(),
            runs: 5,
            threads: 2,
            precision: Precision::default(),
            level: None,
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--model" => args.model = value.into(),
                "--audio" => args.audio = value.into(),
                "--task" if ["window", "file"].contains(&value.as_str()) => args.task = value,
                "--runs" => args.runs = value.parse()?,
                "--threads" => args.threads = value.parse()?,
                "--precision" => args.precision = precision(&value)?,
                "--level" => args.level = Some(level(&value)?),
                _ => return Err(format!("{name} {value}: {USAGE}").into()),
            }
        }
        if args.model.as_os_str().is_empty() || args.audio.as_os_str().is_empty() {
            return Err(USAGE.into());
        }
        Ok(args)
    }
}
