//! A model and a file's mel as the loop sees them.

use whisper_encoder::{CancelToken, LogMel};

use super::TranscribeOptions;
use super::sequential::Windows;
use crate::decoding::{DecodingOptions, DecodingResult, WindowDecoder};
use crate::speech_model::SpeechModel;
use crate::timing::add_word_timestamps;
use crate::{Result, Segment};

/// [`Windows`] of a real model.
pub(crate) struct ModelWindows<'a, M: SpeechModel> {
    pub(crate) model: &'a M,
    pub(crate) mel: &'a LogMel,
    pub(crate) decoder: WindowDecoder<'a>,
    pub(crate) options: &'a TranscribeOptions,
    pub(crate) language: &'a str,
    pub(crate) cancel: &'a CancelToken,
    /// What was encoded while the language was detected.
    pub(crate) first_window: Option<FirstWindow<M::Audio>>,
}

/// A window encoded before its turn.
pub(crate) struct FirstWindow<A> {
    /// First mel frame.
    pub(crate) start: usize,
    /// Mel frames of the file in it.
    pub(crate) frames: usize,
    pub(crate) audio: A,
}

impl<M: SpeechModel> Windows for ModelWindows<'_, M> {
    type Audio = M::Audio;

    fn encode(&mut self, seek: usize, frames: usize) -> Result<M::Audio> {
        let known = self.first_window.take().filter(|first| (first.start, first.frames) == (seek, frames));
        match known {
            Some(first) => Ok(first.audio),
            None => self.model.encode(&self.mel.window(seek, frames), self.cancel),
        }
    }

    /// On one inference, which has read the prompt by the second attempt.
    fn attempts<'a>(
        &'a mut self,
        audio: &'a M::Audio,
    ) -> Result<impl FnMut(&DecodingOptions) -> Result<DecodingResult> + 'a> {
        let mut inference = self.model.inference(audio, self.cancel)?;
        Ok(move |options: &DecodingOptions| self.decoder.decode(&mut *inference, options))
    }

    fn text(&self, tokens: &[u32]) -> String {
        self.model.tokenizer().decode(tokens)
    }

    fn time_words(
        &mut self,
        segments: &mut [Segment],
        audio: &M::Audio,
        frames: usize,
        last_speech_timestamp: f64,
    ) -> Result<()> {
        let (prepend, append) = (&self.options.prepend_punctuations, &self.options.append_punctuations);
        let task = self.options.decoding.task;
        let language = self.language;
        let (last, cancel) = (last_speech_timestamp, self.cancel);
        add_word_timestamps(
            segments, self.model, audio, frames, language, task, prepend, append, last, cancel,
        )
    }
}
