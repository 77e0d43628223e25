//! The one place that knows how the engine is built and called; the suites go through it.

use std::path::Path;

use transcribe::decoding::{self, DecodingOptions, DecodingResult, WindowDecoder};
use transcribe::mel::{N_SAMPLES, log_mel, pad_or_trim};
use transcribe::model::{self, ModelSource, OpenOptions, WhisperModel};
use transcribe::pipeline::TranscribeOptions;
use transcribe::speech_model::SpeechModel;
use transcribe::{Result, Transcription, pipeline};
use whisper_encoder::{CancelToken, Device, LogMel, Precision};

use crate::golden::repository;

/// The model under test.
pub type Model = WhisperModel;

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
pub fn load_model(accelerator: Accelerator) -> Result<Model> {
    let device = match accelerator {
        Accelerator::Candle => Device::Candle,
        Accelerator::Cpu => Device::Cpu,
    };
    load_model_with(&OpenOptions { precision: Precision::F32, device, ..OpenOptions::default() })
}

/// Opens the bundled model.
///
/// # Errors
/// If it cannot be read, or the device is not there.
pub fn load_model_with(options: &OpenOptions) -> Result<Model> {
    let folder = repository().join("models/whisper-base-int8");
    let files = model::folder::open(&folder, "bundled", ModelSource::Bundled)?;
    model::open(&files, options)
}

/// Every sub-layer's output by OpenAI's module names (`encoder.blocks.0.attn.query`), `[frames, channels]` each; the
/// convolutions before their GELU, `attn` and `mlp` before the residual sum.
///
/// # Errors
/// The encoder's.
pub fn encode_with_probe(model: &Model, mel: &LogMel) -> Result<Vec<(String, Vec<f32>)>> {
    let mut layers = Vec::new();
    model.encoder().encode_probed(mel, &mut |name, output| {
        layers.push((name.to_owned(), output.flatten_all()?.to_vec1()?));
        Ok(())
    })?;
    Ok(layers)
}

/// The encoder's output `[1500, d_model]` as users get it: nobody watches, so layers may be fused.
///
/// # Errors
/// The encoder's.
pub fn encode(model: &Model, mel: &LogMel) -> Result<Vec<f32>> {
    Ok(model.encoder().encode(mel)?.data().to_vec())
}

/// Decodes one encoded window by the policy of `transcribe::decoding`.
///
/// # Errors
/// The decoder's.
pub fn decode_window<M: SpeechModel>(
    model: &M,
    audio: &M::Audio,
    options: &DecodingOptions,
) -> Result<DecodingResult> {
    WindowDecoder::new(model.tokenizer(), model.config())?
        .decode(&mut *model.inference(audio, &CancelToken::new())?, options)
}

/// Languages with their probabilities, in any order.
///
/// # Errors
/// The decoder's.
pub fn detect_language<M: SpeechModel>(model: &M, audio: &M::Audio) -> Result<Vec<(String, f32)>> {
    let (_, all) =
        decoding::detect_language(&mut *model.inference(audio, &CancelToken::new())?, model.tokenizer())?;
    Ok(all.into_iter().map(|language| (language.code.to_owned(), language.probability)).collect())
}

/// Samples of a file, 16 kHz mono.
///
/// # Errors
/// If the file cannot be read.
pub fn samples(path: &Path) -> Result<Vec<f32>> {
    Ok(transcribe::audio::load_file(path, None)?.samples.as_slice().to_vec())
}

/// Log-mel of a whole file with 30 s of silence after it, as `transcribe()` makes it.
///
/// # Errors
/// If the file cannot be read.
pub fn mel_of_file(path: &Path, n_mels: usize) -> Result<LogMel> {
    log_mel(&samples(path)?, N_SAMPLES, n_mels)
}

/// Log-mel of the first 30 s of a file, cut or filled up with silence, `[n_mels, 3000]`.
///
/// # Errors
/// If the file cannot be read.
pub fn mel_of_first_window(path: &Path, n_mels: usize) -> Result<LogMel> {
    log_mel(&pad_or_trim(&samples(path)?, N_SAMPLES), 0, n_mels)
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
    model.inference(audio, &CancelToken::new())?.prefill(tokens, &positions)
}
