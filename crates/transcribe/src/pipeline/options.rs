//! How to transcribe a file, and what is told while it happens.

use crate::Segment;
use crate::decoding::DecodingOptions;

/// How to transcribe a file (OpenAI's `transcribe()` arguments).
#[derive(Clone, Debug, PartialEq)]
pub struct TranscribeOptions {
    /// Temperatures tried in order until a window passes the quality thresholds.
    pub temperatures: Vec<f64>,
    /// Above this the text repeats itself: try hotter.
    pub compression_ratio_threshold: Option<f64>,
    /// Below this mean log-probability: try hotter.
    pub logprob_threshold: Option<f64>,
    /// Above this probability (with a low log-probability) the window is silence.
    pub no_speech_threshold: Option<f64>,
    /// Give the text so far as a prompt to the next window.
    pub condition_on_previous_text: bool,
    /// Text that precedes the first window (and with `carry_initial_prompt` each).
    pub initial_prompt: Option<String>,
    /// Put the initial prompt before every window's prompt.
    pub carry_initial_prompt: bool,
    /// Times of words.
    pub word_timestamps: bool,
    /// Punctuation that joins the word after it.
    pub prepend_punctuations: String,
    /// Punctuation that joins the word before it.
    pub append_punctuations: String,
    /// Start, end, start, … in seconds; an odd count goes on to the end of the file.
    pub clip_timestamps: Vec<f64>,
    /// With word times: skip silence longer than this around suspected hallucinations, seconds.
    pub hallucination_silence_threshold: Option<f64>,
    /// Options of each window.
    pub decoding: DecodingOptions,
}

impl Default for TranscribeOptions {
    fn default() -> Self {
        Self {
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            compression_ratio_threshold: Some(2.4),
            logprob_threshold: Some(-1.0),
            no_speech_threshold: Some(0.6),
            condition_on_previous_text: true,
            initial_prompt: None,
            carry_initial_prompt: false,
            word_timestamps: false,
            prepend_punctuations: "\"'“¿([{-".into(),
            append_punctuations: "\"'.。,，!！?？:：”)]}、".into(),
            clip_timestamps: vec![0.0],
            hallucination_silence_threshold: None,
            decoding: DecodingOptions::default(),
        }
    }
}

/// What happens while a file is transcribed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The language, and whether it was detected (with its probability) or given.
    Language {
        /// Language code.
        code: &'a str,
        /// Probability, if it was detected.
        probability: Option<f32>,
    },
    /// Something that the user should know of an option; a sentence.
    Warning(&'a str),
    /// A finished segment; its text is empty if it was blank or took no time.
    Segment(&'a Segment),
    /// Mel frames done, of all.
    Progress {
        /// Frames done.
        done: usize,
        /// Frames of the file.
        total: usize,
    },
}
