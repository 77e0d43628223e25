//! Options and result of decoding one window, field for field as OpenAI's dataclasses.

/// What to write: the words as spoken, or their English translation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// Speech in its own language.
    #[default]
    Transcribe,
    /// English translation.
    Translate,
}

impl Task {
    /// OpenAI's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transcribe => "transcribe",
            Self::Translate => "translate",
        }
    }
}

/// How to decode one window (OpenAI's `DecodingOptions`).
#[derive(Clone, Debug, PartialEq)]
pub struct DecodingOptions {
    /// Transcribe or translate.
    pub task: Task,
    /// Language code; `None` detects it.
    pub language: Option<String>,
    /// 0 takes the most likely token, above 0 samples.
    pub temperature: f64,
    /// Most tokens to sample; `None` is half the decoder's positions (224).
    pub sample_len: Option<usize>,
    /// Independent samples when the temperature is above 0.
    pub best_of: Option<usize>,
    /// Beams when the temperature is 0.
    pub beam_size: Option<usize>,
    /// Beam search goes on until `round(beam_size × patience)` hypotheses are finished.
    pub patience: Option<f64>,
    /// Exponent α of the length penalty; `None` divides by the length.
    pub length_penalty: Option<f64>,
    /// Tokens of the text before (they follow `<|startofprev|>`).
    pub prompt: Vec<u32>,
    /// Tokens that the window's text must begin with.
    pub prefix: Vec<u32>,
    /// Tokens never sampled; −1 stands for the tokenizer's non-speech tokens.
    pub suppress_tokens: Vec<i64>,
    /// No blank first token.
    pub suppress_blank: bool,
    /// Text only, no timestamps.
    pub without_timestamps: bool,
    /// The first timestamp may not be later than this, seconds; `None` lifts the rule.
    pub max_initial_timestamp: Option<f64>,
    /// Seed of the sampler (temperature above 0).
    pub seed: u64,
}

impl Default for DecodingOptions {
    fn default() -> Self {
        Self {
            task: Task::Transcribe,
            language: None,
            temperature: 0.0,
            sample_len: None,
            best_of: None,
            beam_size: None,
            patience: None,
            length_penalty: None,
            prompt: Vec::new(),
            prefix: Vec::new(),
            suppress_tokens: vec![-1],
            suppress_blank: true,
            without_timestamps: false,
            max_initial_timestamp: Some(1.0),
            seed: 0,
        }
    }
}

/// What decoding one window gave (OpenAI's `DecodingResult`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecodingResult {
    /// Language code.
    pub language: String,
    /// Sampled tokens without the end-of-text token.
    pub tokens: Vec<u32>,
    /// Their text without timestamps, stripped.
    pub text: String,
    /// Sum of log-probabilities over `tokens.len() + 1`.
    pub avg_logprob: f64,
    /// Probability of the no-speech token at the SOT position, from raw logits; NaN if the model has none.
    pub no_speech_prob: f64,
    /// Temperature used.
    pub temperature: f64,
    /// Bytes of the text over bytes of its zlib compression.
    pub compression_ratio: f64,
}
