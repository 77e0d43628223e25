//! A model and a file's mel as the loop sees them.

use whisper_encoder::log_mel::WINDOW_FRAMES;
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
    /// Frames 0 to 3000, if they were encoded to detect the language.
    pub(crate) first_window: Option<M::Audio>,
}

impl<M: SpeechModel> Windows for ModelWindows<'_, M> {
    type Audio = M::Audio;

    fn encode(&mut self, seek: usize, frames: usize) -> Result<M::Audio> {
        // Detection hears the silence behind a short file, decoding zeros: only a full first window is the same.
        let known = self.first_window.take().filter(|_| seek == 0 && frames == WINDOW_FRAMES);
        match known {
            Some(audio) => Ok(audio),
            None => self.model.encode(&self.mel.window(seek, frames), self.cancel),
        }
    }

    fn decode(&mut self, audio: &M::Audio, options: &DecodingOptions) -> Result<DecodingResult> {
        self.decoder.decode(&mut *self.model.inference(audio, self.cancel)?, options)
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
