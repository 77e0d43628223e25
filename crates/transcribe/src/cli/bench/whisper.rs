//! What the bundled model takes on this processor: a window of the encoder, its parts, and a token. All measured.

use std::time::{Duration, Instant};

use whisper_encoder::{CancelToken, LogMel};

use crate::Result;
use crate::decoding::Likely;
use crate::mel::{N_SAMPLES, log_mel};
use crate::model::{self, Device, OpenOptions, Precision, Surroundings, WhisperModel};
use crate::speech_model::SpeechModel;

/// Windows that are timed.
const WINDOWS: usize = 3;
/// Tokens before those that are timed, and those that are timed.
const BEFORE: usize = 20;
const STEPS: usize = 60;
/// Any text token: what it says does not change the work.
const TOKEN: u32 = 1000;

/// Figures of one precision.
pub(super) struct Whisper {
    pub(super) precision: Precision,
    pub(super) load: Duration,
    /// One window of 30 s through the encoder.
    pub(super) window: Duration,
    /// One more token of one hypothesis, and of five.
    pub(super) token: Duration,
    pub(super) token_of_five: Duration,
    /// Parts of a window that goes operation by operation, the longest first. A window that nobody watches goes in one
    /// piece where it can, which is less than their sum.
    pub(super) parts: Vec<(&'static str, Duration)>,
}

/// Opens the bundled model in `precision` and times it.
///
/// # Errors
/// If there is no bundled model, or it cannot be opened.
pub(super) fn measure(precision: Precision, threads: usize) -> Result<Whisper> {
    let files = model::bundled(&Surroundings::of_process(None))?;
    let begin = Instant::now();
    let options =
        OpenOptions { device: Device::Cpu, precision, threads: Some(threads), ..OpenOptions::default() };
    let model = model::open(&files, &options)?;
    let load = begin.elapsed();
    let mel = log_mel(&sweep(), 0, model.config().n_mels)?;
    let cancel = CancelToken::new();
    // The first also takes the working memory.
    model.features(&mel, &cancel)?;
    let mut windows = Vec::new();
    for _ in 0..WINDOWS {
        let begin = Instant::now();
        model.features(&mel, &cancel)?;
        windows.push(begin.elapsed());
    }
    let audio = model.encode(&mel, &cancel)?;
    Ok(Whisper {
        precision,
        load,
        window: median(windows),
        token: token(&model, &audio, 1)?,
        token_of_five: token(&model, &audio, 5)?,
        parts: parts(&model, &mel)?,
    })
}

/// The median step of a decoder of `rows` hypotheses.
fn token(
    model: &WhisperModel,
    audio: &<WhisperModel as SpeechModel>::Audio,
    rows: usize,
) -> Result<Duration> {
    let cancel = CancelToken::new();
    let mut inference = model.inference(audio, &cancel)?;
    inference.prefill(&[TOKEN; BEFORE], &[BEFORE - 1])?;
    inference.rearrange(&vec![0; rows])?;
    let mut logits = vec![0.0; rows * inference.n_vocab()];
    let mut steps = Vec::new();
    // One row goes as the most likely token does, rows of a beam search with all of their logits.
    let likely = Likely { text: model.tokenizer().eot() as usize, never: &[] };
    for _ in 0..STEPS {
        let begin = Instant::now();
        match rows {
            1 => inference.step_likely(TOKEN, likely, &mut logits)?,
            _ => inference.step(&vec![TOKEN; rows], &mut logits)?,
        }
        steps.push(begin.elapsed());
    }
    Ok(median(steps))
}

/// The time from each operation's result to the next, by kind.
fn parts(model: &WhisperModel, mel: &LogMel) -> Result<Vec<(&'static str, Duration)>> {
    let mut parts: Vec<(&'static str, Duration)> = Vec::new();
    let mut begin = Instant::now();
    model.encoder().encode_probed(mel, &mut |name, _| {
        let (kind, took) = (kind(name), begin.elapsed());
        match parts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, sum)) => *sum += took,
            None => parts.push((kind, took)),
        }
        begin = Instant::now();
        Ok(())
    })?;
    parts.sort_by_key(|&(_, took)| std::cmp::Reverse(took));
    Ok(parts)
}

/// What was done since the operation before, by OpenAI's names.
fn kind(name: &str) -> &'static str {
    let last = name.rsplit('.').next().unwrap_or(name);
    match last {
        "conv1" | "conv2" => "convolutions",
        "query" | "key" | "value" => "queries, keys, values",
        "attn" => "attention and its output",
        "mlp" => "perceptrons",
        "attn_ln" | "mlp_ln" | "ln_post" => "layer norms",
        _ => "sums",
    }
}

/// 30 s of a rising tone: what it says does not change the work.
#[allow(clippy::cast_precision_loss, reason = "a sample's number is below 2^24")]
fn sweep() -> Vec<f32> {
    (0..N_SAMPLES).map(|i| 0.3 * (i as f32 * (0.05 + i as f32 * 1e-6)).sin()).collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn operations_are_known_by_their_last_name() {
        for (name, want) in [
            ("encoder.conv2", "convolutions"),
            ("encoder.blocks.3.attn.query", "queries, keys, values"),
            ("encoder.blocks.3.attn", "attention and its output"),
            ("encoder.blocks.3.attn_ln", "layer norms"),
            ("encoder.blocks.3.mlp", "perceptrons"),
            ("encoder.blocks.3", "sums"),
        ] {
            assert_eq!(kind(name), want, "{name}");
        }
    }
}
