//! The one place that knows how the engine is built and called; the suites go through it.

use std::path::Path;

use transcribe::decoding::{DecodingOptions, DecodingResult, Inference};
use transcribe::mel::{N_SAMPLES, log_mel};
use transcribe::pipeline::TranscribeOptions;
use transcribe::speech_model::{Alignment, SpeechModel};
use transcribe::tokenizer::Tokenizer;
use transcribe::{Error, ErrorKind, Result, Transcription, pipeline};
use whisper_encoder::{CancelToken, Config, LogMel};

// MERGE: replace `Model` by the real type (and delete the `impl SpeechModel for Model` below), and fill in
// `load_model`, `encode_with_probe`, `decode_window` and `detect_language`. Then take the `test = false` lines out of
// tests/Cargo.toml, and this comment.

/// The model under test. This one has no values: the engine is not connected yet.
pub struct Model(std::convert::Infallible);

fn not_connected() -> Error {
    Error::new(
        ErrorKind::Internal,
        "cannot run the golden suite",
        "the engine is not connected",
        "fill in tests/src/engine.rs",
    )
}

/// What computes the encoder's products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// Plain candle operations: the oracle.
    Candle,
    /// `cpu-backend`.
    Cpu,
}

impl Accelerator {
    /// All that this build has.
    pub const ALL: [Self; 2] = [Self::Candle, Self::Cpu];
}

/// Opens the bundled model in f32 on `accelerator`.
///
/// # Errors
/// If it cannot be read.
pub fn load_model(_accelerator: Accelerator) -> Result<Model> {
    Err(not_connected())
}

/// Every sub-layer's output by OpenAI's module names (`encoder.blocks.0.attn.query`), `[frames, channels]` each; the
/// convolutions before their GELU, `attn` and `mlp` before the residual sum.
///
/// # Errors
/// The encoder's.
pub fn encode_with_probe(model: &Model, _mel: &LogMel) -> Result<Vec<(String, Vec<f32>)>> {
    match model.0 {}
}

/// The encoder's output `[1500, d_model]` as users get it: nobody watches, so layers may be fused.
///
/// # Errors
/// The encoder's.
pub fn encode(model: &Model, _mel: &LogMel) -> Result<Vec<f32>> {
    match model.0 {}
}

/// Decodes one encoded window by the policy of `transcribe::decoding`.
///
/// # Errors
/// The decoder's.
pub fn decode_window<M: SpeechModel>(
    _model: &M,
    _audio: &M::Audio,
    _options: &DecodingOptions,
) -> Result<DecodingResult> {
    // MERGE: WindowDecoder::new(model.tokenizer(), model.config())?.decode(&mut *model.inference(audio)?, options)
    Err(not_connected())
}

/// Languages with their probabilities, in any order.
///
/// # Errors
/// The decoder's.
pub fn detect_language<M: SpeechModel>(_model: &M, _audio: &M::Audio) -> Result<Vec<(String, f32)>> {
    // MERGE: transcribe::decoding::detect_language(&mut *model.inference(audio)?, model.tokenizer()), both fields
    Err(not_connected())
}

/// Log-mel of a whole file with 30 s of silence after it, as `transcribe()` makes it.
///
/// # Errors
/// If the file cannot be read.
pub fn mel_of_file(path: &Path, n_mels: usize) -> Result<LogMel> {
    let samples = transcribe::audio::load_file(path, None)?;
    log_mel(samples.as_slice(), N_SAMPLES, n_mels)
}

/// Log-mel of the first 30 s of a file, cut or filled up with silence, `[n_mels, 3000]`.
///
/// # Errors
/// If the file cannot be read.
pub fn mel_of_first_window(path: &Path, n_mels: usize) -> Result<LogMel> {
    let samples = transcribe::audio::load_file(path, None)?;
    let mut first = samples.as_slice().to_vec();
    first.resize(N_SAMPLES, 0.0);
    log_mel(&first, 0, n_mels)
}

/// Transcribes a file; `mel` is that of [`mel_of_file`].
///
/// # Errors
/// The pipeline's.
pub fn transcribe_mel<M: SpeechModel>(
    model: &M,
    mel: &LogMel,
    options: &TranscribeOptions,
) -> Result<Transcription> {
    pipeline::transcribe(model, mel, options, &CancelToken::new(), &mut |_| {})
}

/// Raw logits after each of `tokens`, `[tokens][n_vocab]`.
///
/// # Errors
/// The decoder's.
pub fn logits_after<M: SpeechModel>(model: &M, audio: &M::Audio, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
    let positions: Vec<usize> = (0..tokens.len()).collect();
    model.inference(audio)?.prefill(tokens, &positions)
}

impl SpeechModel for Model {
    type Audio = Vec<f32>;

    fn config(&self) -> &Config {
        match self.0 {}
    }

    fn tokenizer(&self) -> &Tokenizer {
        match self.0 {}
    }

    fn encode(&self, _window: &LogMel) -> Result<Vec<f32>> {
        match self.0 {}
    }

    fn inference<'a>(&'a self, _audio: &'a Vec<f32>) -> Result<Box<dyn Inference + 'a>> {
        match self.0 {}
    }

    fn align(&self, _audio: &Vec<f32>, _sot_sequence: &[u32], _text_tokens: &[u32]) -> Result<Alignment> {
        match self.0 {}
    }
}
