//! A model and a file's mel as the loop sees them.

use whisper_encoder::LogMel;
use whisper_encoder::log_mel::WINDOW_FRAMES;

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
            None => self.model.encode(&self.mel.window(seek, frames)),
        }
    }

    fn decode(&mut self, audio: &M::Audio, options: &DecodingOptions) -> Result<DecodingResult> {
        self.decoder.decode(&mut *self.model.inference(audio)?, options)
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
        let last = last_speech_timestamp;
        add_word_timestamps(segments, self.model, audio, frames, language, task, prepend, append, last)
    }
}
