//! Words of a window and when they are spoken (OpenAI timing.py, `find_alignment`, `merge_punctuations`).

use whisper_encoder::CancelToken;

use super::attention::{Matrix, matrix};
use super::{dtw, numpy};
use crate::decoding::Task;
use crate::speech_model::{Alignment, SpeechModel};
use crate::tokenizer::whitespace::strip;
use crate::{Error, ErrorKind, Result};

/// Encoder positions in a second.
const POSITIONS_PER_SECOND: f64 = 50.0;

/// A word with its tokens and its time within the window.
#[derive(Clone, Debug, PartialEq)]
pub struct WordTiming {
    /// The word, with the space before it where there is one.
    pub word: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Start, seconds from the window's start.
    pub start: f64,
    /// End, seconds from the window's start.
    pub end: f64,
    /// Mean probability of its tokens.
    pub probability: f64,
}

/// Runs the decoder over `text_tokens` and finds each word's time in the first `num_frames` mel frames of the window.
///
/// # Errors
/// Those of [`SpeechModel::align`]; [`ErrorKind::Usage`] for an unknown language; [`ErrorKind::Internal`] if the model
/// answers in another shape than [`Alignment`] says.
pub fn find_alignment<M: SpeechModel>(
    model: &M,
    audio: &M::Audio,
    text_tokens: &[u32],
    num_frames: usize,
    language: &str,
    task: Task,
    cancel: &CancelToken,
) -> Result<Vec<WordTiming>> {
    if text_tokens.is_empty() {
        return Ok(Vec::new());
    }
    let tokenizer = model.tokenizer();
    let sot_sequence = tokenizer.sot_sequence(language, task)?;
    let alignment = model.align(audio, &sot_sequence, text_tokens, cancel)?;
    check(&alignment, sot_sequence.len(), text_tokens.len())?;

    let matrix = matrix(&alignment, sot_sequence.len(), num_frames / 2);
    let jumps = jump_times(&matrix);
    let mut with_end = text_tokens.to_vec();
    with_end.push(tokenizer.eot());
    let (words, word_tokens) = tokenizer.split_to_word_tokens(&with_end, language);
    // The last word is the end of text.
    let count = words.len().saturating_sub(1);
    let mut first = 0;
    words
        .into_iter()
        .zip(word_tokens)
        .take(count)
        .map(|(word, tokens)| {
            let (from, to) = (first, first + tokens.len());
            first = to;
            let time =
                |at: usize| jumps.get(at).copied().ok_or_else(|| odd("the alignment has no time for a word"));
            let probabilities: Vec<f64> =
                alignment.token_probs.iter().take(to).skip(from).copied().map(f64::from).collect();
            Ok(WordTiming {
                word,
                tokens,
                start: time(from)?,
                end: time(to)?,
                probability: numpy::mean(&probabilities),
            })
        })
        .collect()
}

/// The time at which the path comes to each row, seconds, `[rows]`.
#[allow(clippy::cast_precision_loss)]
fn jump_times(matrix: &Matrix) -> Vec<f64> {
    let cost = |row: usize, frame: usize| -f64::from(matrix.data[row * matrix.frames + frame]);
    let mut row_before = None;
    dtw::path(cost, matrix.rows, matrix.frames)
        .into_iter()
        .filter(|(row, _)| row_before.replace(*row) != Some(*row))
        .map(|(_, frame)| frame as f64 / POSITIONS_PER_SECOND)
        .collect()
}

fn check(alignment: &Alignment, sot_len: usize, text_len: usize) -> Result<()> {
    let Alignment { heads, tokens, frames, qk, token_probs } = alignment;
    if *heads == 0 {
        return Err(odd("the model has no alignment heads"));
    }
    if *tokens != sot_len + 1 + text_len + 1 || token_probs.len() != text_len {
        let given = token_probs.len();
        return Err(odd(format!(
            "{text_len} text tokens were aligned as {tokens} with {given} probabilities"
        )));
    }
    if qk.len() != heads * tokens * frames {
        return Err(odd(format!("{} scores are not {heads} x {tokens} x {frames}", qk.len())));
    }
    Ok(())
}

fn odd(why: impl Into<String>) -> Error {
    let hint = "run without word times, and please report this with the model's name";
    Error::new(ErrorKind::Internal, "cannot find the times of words", why, hint)
}

/// Joins punctuation to the word after it (`prepended`) or before it (`appended`); what was joined stays as an empty word.
///
/// As in OpenAI's, punctuation is whatever occurs *within* the list, so an empty word or several marks in its order count.
pub fn merge_punctuations(alignment: &mut [WordTiming], prepended: &str, appended: &str) {
    let mut following = alignment.len().saturating_sub(1);
    for previous in (0..following).rev() {
        let word = &alignment[previous].word;
        if word.starts_with(' ') && prepended.contains(strip(word)) {
            let word = std::mem::take(&mut alignment[previous].word);
            let mut tokens = std::mem::take(&mut alignment[previous].tokens);
            alignment[following].word.insert_str(0, &word);
            tokens.append(&mut alignment[following].tokens);
            alignment[following].tokens = tokens;
        } else {
            following = previous;
        }
    }
    let mut previous = 0;
    for following in 1..alignment.len() {
        if !alignment[previous].word.ends_with(' ') && appended.contains(&alignment[following].word) {
            let word = std::mem::take(&mut alignment[following].word);
            let mut tokens = std::mem::take(&mut alignment[following].tokens);
            alignment[previous].word.push_str(&word);
            alignment[previous].tokens.append(&mut tokens);
        } else {
            previous = following;
        }
    }
}
