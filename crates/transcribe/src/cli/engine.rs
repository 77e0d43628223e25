//! What the command needs of a model: sound in, text or features out. Tests put a scripted one in its place.

use std::io;
use std::path::Path;

use whisper_encoder::accelerator::Receipt;
use whisper_encoder::{AudioFeatures, CancelToken, LogMel};

use super::inputs::Input;
use super::settings::How;
use super::signal::Graceful;
use crate::audio::{self, Loaded, RawFormat};
use crate::mel::{self, N_SAMPLES};
use crate::model::WhisperModel;
use crate::pipeline::{self, Event};
use crate::speech_model::SpeechModel;
use crate::tokenizer::whitespace::strip;
use crate::{Result, Transcription};

/// What happens while a file is transcribed.
#[derive(Debug)]
pub enum Happening<'a> {
    /// Something about the input that the user should know.
    Warning(&'a str),
    /// The sound is read: its length in seconds.
    Read(f64),
    /// From the pipeline.
    Event(Event<'a>),
}

/// Receives [`Happening`]s.
pub type Listener<'a> = dyn FnMut(Happening<'_>) + 'a;

/// Transcribes inputs.
pub trait Engine {
    /// Whether the model knows languages other than English.
    fn is_multilingual(&self) -> bool;

    /// Transcribes one input.
    ///
    /// # Errors
    /// Those of reading the input and of the pipeline; [`crate::ErrorKind::Cancelled`] once `cancel` is set.
    fn transcribe(
        &self,
        input: &Input,
        raw: Option<&RawFormat>,
        how: &How,
        cancel: &CancelToken,
        listener: &mut Listener<'_>,
    ) -> Result<Transcription>;

    /// What ran where since the model was opened, if its device keeps an account.
    fn receipt(&self) -> Option<Receipt> {
        None
    }
}

/// Encodes inputs, a window at a time: whoever writes the features need not hold those of a whole file.
pub trait FeatureEngine {
    /// Frames of 20 ms and values of each that every window's features have.
    fn shape(&self) -> [usize; 2];

    /// Reads an input to its padded mel.
    ///
    /// # Errors
    /// Those of reading the input; [`crate::ErrorKind::Cancelled`] once `cancel` is set.
    fn hear(
        &self,
        input: &Input,
        raw: Option<&RawFormat>,
        cancel: &CancelToken,
        listener: &mut Listener<'_>,
    ) -> Result<LogMel>;

    /// Features of one full window `[n_mels, 3000]`.
    ///
    /// # Errors
    /// Those of the encoder; [`crate::ErrorKind::Cancelled`] once `cancel` is set.
    fn features(&self, window: &LogMel, cancel: &CancelToken) -> Result<AudioFeatures>;
}

/// The real engine: a model, and how Ctrl-C is taken.
pub struct WhisperEngine<M> {
    pub(super) model: M,
    pub(super) graceful: Graceful,
}

impl<M: SpeechModel> WhisperEngine<M> {
    /// Reads an input, which one Ctrl-C ends, to its padded mel. The samples are let go: an hour of them is 230 MB.
    fn padded_mel(
        &self,
        input: &Input,
        raw: Option<&RawFormat>,
        cancel: &CancelToken,
        listener: &mut Listener<'_>,
    ) -> Result<LogMel> {
        self.graceful.pause();
        let loaded = load(input, raw, listener)?;
        self.graceful.begin();
        cancel.check()?;
        mel::log_mel(loaded.samples.as_slice(), N_SAMPLES, self.model.config().n_mels)
    }
}

impl Engine for WhisperEngine<WhisperModel> {
    fn is_multilingual(&self) -> bool {
        self.model.config().is_multilingual()
    }

    fn transcribe(
        &self,
        input: &Input,
        raw: Option<&RawFormat>,
        how: &How,
        cancel: &CancelToken,
        listener: &mut Listener<'_>,
    ) -> Result<Transcription> {
        let mel = self.padded_mel(input, raw, cancel, listener)?;
        let mut options = how.options.clone();
        // OpenAI decoding.py, `_get_initial_tokens`: a space, then the stripped prefix; nothing for an empty one, but a
        // space for one of white space.
        if let Some(prefix) = how.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            options.decoding.prefix = self.model.tokenizer().encode(&format!(" {}", strip(prefix)))?;
        }
        pipeline::transcribe(&self.model, &mel, &options, cancel, &mut |event| {
            listener(Happening::Event(event))
        })
    }

    fn receipt(&self) -> Option<Receipt> {
        self.model.encoder().receipt()
    }
}

impl FeatureEngine for WhisperEngine<WhisperModel> {
    fn shape(&self) -> [usize; 2] {
        let config = self.model.config();
        [config.n_audio_ctx, config.d_model]
    }

    fn hear(
        &self,
        input: &Input,
        raw: Option<&RawFormat>,
        cancel: &CancelToken,
        listener: &mut Listener<'_>,
    ) -> Result<LogMel> {
        self.padded_mel(input, raw, cancel, listener)
    }

    fn features(&self, window: &LogMel, cancel: &CancelToken) -> Result<AudioFeatures> {
        cancel.check()?;
        self.model.features(window, cancel)
    }
}

/// `(start, length)` of the windows of a padded mel: the 30 s of padding at its end make no window of their own.
pub(super) fn windows(padded_frames: usize) -> impl Iterator<Item = (usize, usize)> {
    use whisper_encoder::log_mel::WINDOW_FRAMES;
    let content = padded_frames.saturating_sub(WINDOW_FRAMES);
    (0..content).step_by(WINDOW_FRAMES).map(move |start| (start, WINDOW_FRAMES.min(content - start)))
}

fn load(input: &Input, raw: Option<&RawFormat>, listener: &mut Listener<'_>) -> Result<Loaded> {
    let loaded = match input {
        Input::Stdin => audio::load_stream(Box::new(io::stdin()), &input.name(), raw)?,
        Input::File(path) => audio::load_file(Path::new(path), raw)?,
    };
    for warning in &loaded.warnings {
        listener(Happening::Warning(warning));
    }
    listener(Happening::Read(loaded.samples.seconds()));
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_content_and_not_the_padding() {
        for (frames, want) in [
            (3000, vec![]),
            (3001, vec![(0, 1)]),
            (6000, vec![(0, 3000)]),
            (6001, vec![(0, 3000), (3000, 1)]),
            (10, vec![]),
        ] {
            assert_eq!(windows(frames).collect::<Vec<_>>(), want, "{frames}");
        }
    }
}
