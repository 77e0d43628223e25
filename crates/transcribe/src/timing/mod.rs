//! Word times by dynamic time warping over cross-attention, as OpenAI's `timing.py`.

mod alignment;
mod attention;
mod dtw;
mod numpy;
#[cfg(test)]
mod tests;

pub use self::alignment::{WordTiming, find_alignment, merge_punctuations};

use whisper_encoder::CancelToken;

use crate::audio::SAMPLE_RATE;
use crate::decoding::Task;
use crate::mel::HOP_LENGTH;
use crate::speech_model::SpeechModel;
use crate::{Result, Segment, Word};

/// Marks at which a long word is cut: it holds the pause between sentences.
const SENTENCE_END: &str = ".。!！?？";

/// The median duration of words is taken to be no longer, seconds.
const MOST_MEDIAN: f64 = 0.7;

/// Gives the segments of one window their words, and moves the segments' start and end to them.
///
/// `segments` share the window that starts at `segments[0].seek`; their tokens may hold timestamps. `num_frames` are the
/// window's mel frames that are audio, `last_speech_timestamp` the end of the last word before the window in seconds.
/// `prepend` and `append` are the punctuation that joins the next or the previous word. Every segment gets a list of
/// words, if only an empty one.
///
/// One figure is printed otherwise than by OpenAI's: a word's start that is cut off at zero is 0.0 here, Python's `0` there.
///
/// # Errors
/// As [`find_alignment`].
#[allow(clippy::too_many_arguments, reason = "OpenAI's arguments")]
pub fn add_word_timestamps<M: SpeechModel>(
    segments: &mut [Segment],
    model: &M,
    audio: &M::Audio,
    num_frames: usize,
    language: &str,
    task: Task,
    prepend: &str,
    append: &str,
    mut last_speech_timestamp: f64,
    cancel: &CancelToken,
) -> Result<()> {
    let Some(first) = segments.first() else { return Ok(()) };
    #[allow(clippy::cast_precision_loss)]
    let time_offset = (first.seek * HOP_LENGTH) as f64 / f64::from(SAMPLE_RATE);
    let eot = model.tokenizer().eot();
    let is_text = |token: &u32| *token < eot;
    let text_tokens: Vec<u32> =
        segments.iter().flat_map(|segment| &segment.tokens).copied().filter(is_text).collect();

    let mut alignment = find_alignment(model, audio, &text_tokens, num_frames, language, task, cancel)?;
    let durations: Vec<f64> =
        alignment.iter().map(|word| word.end - word.start).filter(|duration| *duration != 0.0).collect();
    let median_duration = numpy::median(durations).min(MOST_MEDIAN);
    cut_pauses(&mut alignment, median_duration * 2.0);
    merge_punctuations(&mut alignment, prepend, append);

    let mut timings = alignment.into_iter();
    for segment in segments {
        let text_len = segment.tokens.iter().filter(|token| is_text(token)).count();
        let mut words = Vec::new();
        let mut saved = 0;
        while saved < text_len
            && let Some(timing) = timings.next()
        {
            saved += timing.tokens.len();
            if !timing.word.is_empty() {
                words.push(Word {
                    start: numpy::round2(time_offset + timing.start),
                    end: numpy::round2(time_offset + timing.end),
                    word: timing.word,
                    probability: timing.probability,
                });
            }
        }
        shorten_first(&mut words, last_speech_timestamp, median_duration);
        if fit(segment, &mut words, median_duration) {
            last_speech_timestamp = segment.end;
        }
        segment.words = Some(words);
    }
    Ok(())
}

/// Cuts words longer than `max_duration` that are, or follow, the end of a sentence.
fn cut_pauses(alignment: &mut [WordTiming], max_duration: f64) {
    for i in 1..alignment.len() {
        if alignment[i].end - alignment[i].start <= max_duration {
            continue;
        }
        if SENTENCE_END.contains(&alignment[i].word) {
            alignment[i].end = alignment[i].start + max_duration;
        } else if SENTENCE_END.contains(&alignment[i - 1].word) {
            alignment[i].start = alignment[i].end - max_duration;
        }
    }
}

/// After a pause, cuts the first and second word of a segment where they are longer than twice the median.
fn shorten_first(words: &mut [Word], last_speech_timestamp: f64, median_duration: f64) {
    let max_duration = median_duration * 2.0;
    let (first, second) = match words {
        [] => return,
        [first] => (first, None),
        [first, second, ..] => (first, Some(second)),
    };
    let both_long = second.as_ref().is_some_and(|second| second.end - first.start > max_duration * 2.0);
    if first.end - last_speech_timestamp <= median_duration * 4.0
        || !(first.end - first.start > max_duration || both_long)
    {
        return;
    }
    if let Some(second) = second
        && second.end - second.start > max_duration
    {
        let boundary = (second.end / 2.0).max(second.end - max_duration);
        first.end = boundary;
        second.start = boundary;
    }
    first.start = (first.end - max_duration).max(0.0);
}

/// Moves the segment's ends to its words, or, where a word reaches more than half a second out of it, the word's end to
/// the segment. False if there are no words.
fn fit(segment: &mut Segment, words: &mut [Word], median_duration: f64) -> bool {
    let Some(first) = words.first_mut() else { return false };
    if segment.start < first.end && segment.start - 0.5 > first.start {
        first.start = (first.end - median_duration).min(segment.start).max(0.0);
    } else {
        segment.start = first.start;
    }
    let Some(last) = words.last_mut() else { return false };
    if segment.end > last.start && segment.end + 0.5 < last.end {
        last.end = (last.start + median_duration).max(segment.end);
    } else {
        segment.end = last.end;
    }
    true
}
