//! From a model's files to a model that works: encoder, text decoder, tokenizer.

use cpu_backend::{Context, Level, LevelKind};
use whisper_encoder::accelerator::NpuOptions;
use whisper_encoder::{
    AudioFeatures, CancelToken, Checkpoint, Config, Device, LogMel, Precision, WhisperEncoder,
};

use super::ModelFiles;
use super::alignment_heads::{Head, alignment_heads};
use crate::decoding::Inference;
use crate::speech_model::{Alignment, SpeechModel};
use crate::text_decoder::{CrossCache, TextDecoder, WindowInference};
use crate::tokenizer::Tokenizer;
use crate::{Error, ErrorKind, Result};

/// Where and how a model is to run.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Where the encoder computes.
    pub device: Device,
    /// How precisely both halves compute.
    pub precision: Precision,
    /// Threads on the CPU; all cores unless set.
    pub threads: Option<usize>,
    /// Instructions of the CPU; the fastest that it has unless set.
    pub level: Option<LevelKind>,
    /// How an NPU, or its emulator, is used.
    pub npu: NpuOptions,
}

/// A Whisper ready to transcribe.
pub struct WhisperModel {
    encoder: WhisperEncoder,
    decoder: TextDecoder,
    tokenizer: Tokenizer,
    alignment_heads: Vec<Head>,
}

/// Opens the model of `files`.
///
/// # Errors
/// [`ErrorKind::Model`] for damaged or mismatched files, [`ErrorKind::Device`] for a device that is not there,
/// [`ErrorKind::Usage`] for a level that this CPU lacks.
pub fn open(files: &ModelFiles, options: &OpenOptions) -> Result<WhisperModel> {
    let level = level(options.level)?;
    let checkpoint = Checkpoint::open_files(&files.config, &files.weights)?;
    let config = checkpoint.config();
    let alignment_heads = alignment_heads(&files.folder, config)?;
    let context = Context::new(level, options.threads.unwrap_or(0)).map_err(|error| {
        Error::new(ErrorKind::Usage, "cannot start the threads", error.to_string(), "give fewer --threads")
    })?;
    let load_encoder = || {
        let builder = WhisperEncoder::builder().device(options.device).precision(options.precision);
        let builder = builder.npu_options(options.npu);
        builder.context(context.clone()).build_from(&checkpoint)
    };
    let load_decoder = || TextDecoder::load(&checkpoint, context.clone(), options.precision);
    // Three independent readers of the same files: side by side, so that the first word comes sooner.
    let (encoder, (decoder, tokenizer)) =
        rayon::join(load_encoder, || rayon::join(load_decoder, || Tokenizer::open(&files.folder, config)));
    Ok(WhisperModel { encoder: encoder?, decoder: decoder?, tokenizer: tokenizer?, alignment_heads })
}

/// The level asked for, or the fastest.
///
/// # Errors
/// [`ErrorKind::Usage`] for one that this CPU lacks, with those that it has.
pub(crate) fn level(wish: Option<LevelKind>) -> Result<Level> {
    let Some(kind) = wish else { return Ok(Level::detect()) };
    Level::require(kind).map_err(|error| {
        let what = format!("cannot use the level {kind}");
        let there: Vec<_> = Level::available().into_iter().map(|level| level.kind().name()).collect();
        let hint = format!("leave out --cpu-level, or give one of this machine's: {}", there.join(", "));
        Error::new(ErrorKind::Usage, what, error.why, hint)
    })
}

impl WhisperModel {
    /// The encoder's output for one full window `[n_mels, 3000]`.
    ///
    /// # Errors
    /// As [`SpeechModel::encode`].
    pub fn features(&self, window: &LogMel, cancel: &CancelToken) -> Result<AudioFeatures> {
        Ok(self.encoder.encode_with(window, cancel)?)
    }

    /// The text decoder by itself.
    #[must_use]
    pub fn decoder(&self) -> &TextDecoder {
        &self.decoder
    }

    /// The encoder by itself.
    #[must_use]
    pub fn encoder(&self) -> &WhisperEncoder {
        &self.encoder
    }
}

impl SpeechModel for WhisperModel {
    type Audio = CrossCache;

    fn config(&self) -> &Config {
        self.encoder.config()
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn encode(&self, window: &LogMel, cancel: &CancelToken) -> Result<CrossCache> {
        let features = self.features(window, cancel)?;
        Ok(self.decoder.cross_cache(&features, cancel)?)
    }

    fn encodes_beside_cpu(&self) -> bool {
        self.encoder.device() == "npu"
    }

    fn inference<'a>(
        &'a self,
        audio: &'a CrossCache,
        cancel: &'a CancelToken,
    ) -> Result<Box<dyn Inference + 'a>> {
        Ok(Box::new(WindowInference::new(&self.decoder, audio, cancel)))
    }

    fn align(
        &self,
        audio: &CrossCache,
        sot_sequence: &[u32],
        text_tokens: &[u32],
        cancel: &CancelToken,
    ) -> Result<Alignment> {
        let (no_timestamps, eot) = (self.tokenizer.no_timestamps(), self.tokenizer.eot());
        let tokens = [sot_sequence, &[no_timestamps], text_tokens, &[eot]].concat();
        let start = sot_sequence.len() + 1;
        let text = start..start + text_tokens.len();
        Ok(self.decoder.align(&tokens, text, eot, &self.alignment_heads, audio, cancel)?)
    }
}
