//! Options of decoding, prompts and words; names, defaults and meanings are OpenAI's (transcribe.py, `cli`).

use clap::Args;

use super::values::{
    ClipTimes, Language, Maybe, TokenIds, boolean, clip_times, count, language, maybe_count, maybe_number,
    not_negative, token_ids,
};
use crate::decoding::Task;

/// How to decode.
#[derive(Args, Debug)]
#[command(next_help_heading = "Decoding")]
pub struct DecodeArgs {
    /// Language spoken: a code or name, e.g. de or German [default: detected]
    #[arg(short, long, value_name = "LANGUAGE", value_parser = language)]
    pub language: Option<Language>,
    /// transcribe: write what is said; translate: write it in English
    #[arg(long, default_value = "transcribe", value_parser = tasks(), ignore_case = true)]
    pub task: Task,
    /// Beams of the beam search at temperature 0; None takes the most likely token
    #[arg(long, value_name = "N", default_value = "5", allow_hyphen_values = true, value_parser = maybe_count)]
    pub beam_size: Maybe<usize>,
    /// Candidates when sampling at temperatures above 0
    #[arg(long, value_name = "N", default_value = "5", allow_hyphen_values = true, value_parser = maybe_count)]
    pub best_of: Maybe<usize>,
    /// Patience of the beam search (arXiv:2204.05424); 1.0 is the usual beam search
    #[arg(long, value_name = "X", allow_hyphen_values = true, value_parser = maybe_number)]
    pub patience: Option<Maybe<f64>>,
    /// Exponent of the length penalty, 0 to 1 (arXiv:1609.08144) [default: divide by the length]
    #[arg(long, value_name = "X", allow_hyphen_values = true, value_parser = maybe_number)]
    pub length_penalty: Option<Maybe<f64>>,
    /// Temperature to begin with: 0 takes the most likely, above 0 samples
    #[arg(long, value_name = "T", default_value = "0", allow_hyphen_values = true, value_parser = not_negative)]
    pub temperature: f64,
    /// Step to hotter temperatures, up to 1.0, when a window fails; None never tries again
    #[arg(long, value_name = "T", default_value = "0.2", allow_hyphen_values = true, value_parser = maybe_number)]
    pub temperature_increment_on_fallback: Maybe<f64>,
    /// A window fails if its text compresses better than this (it repeats itself); None turns it off
    #[arg(long, value_name = "X", default_value = "2.4", allow_hyphen_values = true, value_parser = maybe_number)]
    pub compression_ratio_threshold: Maybe<f64>,
    /// A window fails if its mean log-probability is below this; None turns it off
    #[arg(long, value_name = "X", default_value = "-1.0", allow_hyphen_values = true, value_parser = maybe_number)]
    pub logprob_threshold: Maybe<f64>,
    /// A failed window with a higher no-speech probability than this is silence; None turns it off
    #[arg(long, value_name = "P", default_value = "0.6", allow_hyphen_values = true, value_parser = maybe_number)]
    pub no_speech_threshold: Maybe<f64>,
    /// Tokens never written, with commas between; -1 stands for most special characters
    #[arg(long, value_name = "IDS", default_value = "-1", allow_hyphen_values = true, value_parser = token_ids)]
    pub suppress_tokens: TokenIds,
    /// Write text without timestamps: one segment per 30 s
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "True", default_value = "False",
          hide_default_value = true, value_name = "BOOL", value_parser = boolean)]
    pub without_timestamps: bool,
    /// Only these clips: start,end,start,end,… in seconds or 1:02:03.5; the last end may be missing
    #[arg(long, value_name = "TIMES", default_value = "0", allow_hyphen_values = true, value_parser = clip_times)]
    pub clip_timestamps: ClipTimes,
    /// Seed of the sampling at temperatures above 0
    #[arg(long, value_name = "N", default_value = "0", allow_hyphen_values = true, value_parser = count::<u64>)]
    pub seed: u64,
}

/// What the model is told before.
#[derive(Args, Debug)]
#[command(next_help_heading = "Prompts")]
pub struct PromptArgs {
    /// Text that comes before the first 30 s: names and words to expect, a style to follow
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub initial_prompt: Option<String>,
    /// Put the initial prompt before every 30 s, not only the first
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "True", default_value = "False",
          hide_default_value = true, value_name = "BOOL", value_parser = boolean)]
    pub carry_initial_prompt: bool,
    /// Text that each 30 s must begin with
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prefix: Option<String>,
    /// Give the text so far to the next 30 s; False makes loops less likely, and the text less consistent
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "True", default_value = "True",
          value_name = "BOOL", value_parser = boolean)]
    pub condition_on_previous_text: bool,
}

/// Times of words, and subtitles made of them.
#[derive(Args, Debug)]
#[command(next_help_heading = "Words and subtitles")]
pub struct WordArgs {
    /// Find the time of every word, and refine the segments by it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "True", default_value = "False",
          hide_default_value = true, value_name = "BOOL", value_parser = boolean)]
    pub word_timestamps: bool,
    /// Punctuation that belongs to the word after it
    #[arg(
        long,
        value_name = "CHARS",
        default_value = "\"'“¿([{-",
        allow_hyphen_values = true,
        hide_default_value = true
    )]
    pub prepend_punctuations: String,
    /// Punctuation that belongs to the word before it
    #[arg(
        long,
        value_name = "CHARS",
        default_value = "\"'.。,，!！?？:：”)]}、",
        allow_hyphen_values = true,
        hide_default_value = true
    )]
    pub append_punctuations: String,
    /// Underline each word in srt and vtt while it is spoken (needs --word-timestamps)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "True", default_value = "False",
          hide_default_value = true, value_name = "BOOL", value_parser = boolean)]
    pub highlight_words: bool,
    /// Most characters in a line of a subtitle (needs --word-timestamps)
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = maybe_count)]
    pub max_line_width: Option<Maybe<usize>>,
    /// Most lines in a subtitle (needs --word-timestamps and --max-line-width)
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = maybe_count)]
    pub max_line_count: Option<Maybe<usize>>,
    /// Most words in a subtitle (needs --word-timestamps, not with --max-line-width)
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = maybe_count)]
    pub max_words_per_line: Option<Maybe<usize>>,
    /// Skip silences longer than this many seconds around suspected inventions (needs --word-timestamps)
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, value_parser = maybe_number)]
    pub hallucination_silence_threshold: Option<Maybe<f64>>,
}

/// Parses `--task`.
fn tasks() -> impl clap::builder::TypedValueParser<Value = Task> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new([Task::Transcribe.name(), Task::Translate.name()]).map(|name| {
        if name.eq_ignore_ascii_case(Task::Translate.name()) { Task::Translate } else { Task::Transcribe }
    })
}
