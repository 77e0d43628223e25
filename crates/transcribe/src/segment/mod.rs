//! What a transcription consists of, field for field as OpenAI's result dictionary.

mod split;

pub(crate) use split::seconds;
pub use split::{Span, Split, WindowTimes, split_window};

/// A word with its time, from the alignment of cross-attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The word, with the space before it where there is one.
    pub word: String,
    /// Start, seconds.
    pub start: f64,
    /// End, seconds.
    pub end: f64,
    /// Mean probability of its tokens.
    pub probability: f64,
}

/// A piece of text between two timestamps.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Number within the file.
    pub id: usize,
    /// Start of the window that it came from, in mel frames of 10 ms.
    pub seek: usize,
    /// Start, seconds.
    pub start: f64,
    /// End, seconds.
    pub end: f64,
    /// Text, with the space before it.
    pub text: String,
    /// Token ids, timestamps included.
    pub tokens: Vec<u32>,
    /// Temperature that it was decoded at.
    pub temperature: f64,
    /// Mean log-probability of the window's tokens.
    pub avg_logprob: f64,
    /// Bytes of the window's text over bytes of its zlib compression.
    pub compression_ratio: f64,
    /// Probability of the no-speech token at the SOT position.
    pub no_speech_prob: f64,
    /// Words, when word timestamps were asked for.
    pub words: Option<Vec<Word>>,
}

/// The whole result for one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcription {
    /// Text of all segments.
    pub text: String,
    /// Segments in order.
    pub segments: Vec<Segment>,
    /// Language code, e.g. `en`.
    pub language: String,
}
