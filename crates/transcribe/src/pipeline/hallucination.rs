//! Where to seek when words have times, and which words look made up (OpenAI transcribe.py, main loop).

use crate::segment::seconds;
use crate::{Segment, Word};

/// Words of these alone say nothing about a segment. A substring test, as OpenAI's `in`.
const PUNCTUATION: &str = "\"'“¿([{-\"'.。,，!！?？:：”)]}、";

/// One window of the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// First mel frame.
    pub(crate) seek: usize,
    /// Mel frames of audio.
    pub(crate) segment_size: usize,
    /// Mel frames of the file.
    pub(crate) content_frames: usize,
    /// Whether its tokens end in text and one timestamp.
    pub(crate) single_timestamp_ending: bool,
}

/// What the times of a window's words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The segments that are left stand; go on at this frame.
    Seek(usize),
    /// Nothing of the window stands; decode again from this frame.
    Again(usize),
}

/// Seconds to mel frames as Python's `round`: halves to even.
#[allow(clippy::cast_possible_truncation)]
fn frames(seconds: f64) -> isize {
    (seconds * 100.0).round_ties_even() as isize
}

fn frame_of(seconds: f64) -> usize {
    frames(seconds).max(0).unsigned_abs()
}

fn words(segment: &Segment) -> &[Word] {
    segment.words.as_deref().unwrap_or_default()
}

/// End of the last word, or of the last segment if there are no words (OpenAI utils.py, `get_end`).
pub(crate) fn end_of_speech(segments: &[Segment]) -> Option<f64> {
    let last_word = segments.iter().rev().find_map(|segment| words(segment).last());
    last_word.map(|word| word.end).or_else(|| segments.last().map(|segment| segment.end))
}

/// How unlike speech a word is: improbable, very short, very long.
fn anomaly(word: &Word) -> f64 {
    let duration = word.end - word.start;
    let mut score = 0.0;
    if word.probability < 0.15 {
        score += 1.0;
    }
    if duration < 0.133 {
        score += (0.133 - duration) * 15.0;
    }
    if duration > 2.0 {
        score += duration - 2.0;
    }
    score
}

/// Whether the first eight words of a segment are mostly anomalous.
#[allow(clippy::cast_precision_loss)]
fn is_anomaly(segment: Option<&Segment>) -> bool {
    let Some(segment) = segment.filter(|segment| !words(segment).is_empty()) else { return false };
    let spoken: Vec<&Word> =
        words(segment).iter().filter(|word| !PUNCTUATION.contains(&word.word)).take(8).collect();
    let score: f64 = spoken.iter().map(|word| anomaly(word)).sum();
    score >= 3.0 || score + 0.01 >= spoken.len() as f64
}

fn next_with_words(segments: &[Segment]) -> Option<&Segment> {
    segments.iter().find(|segment| !words(segment).is_empty())
}

/// Moves the seek of a window whose words are timed; with a `threshold` (seconds of silence) also drops what looks
/// like hallucination amid silence. `seek` is where the timestamps alone would go on.
pub(crate) fn reseek(
    segments: &mut Vec<Segment>,
    window: Window,
    seek: usize,
    threshold: Option<f64>,
    last_speech_timestamp: f64,
) -> Next {
    let time_offset = seconds(window.seek);
    let window_end = seconds(window.seek + 3000);
    let mut seek = seek;
    let last_word_end =
        end_of_speech(segments).filter(|&end| !window.single_timestamp_ending && end > time_offset);
    if let Some(end) = last_word_end {
        seek = frame_of(end);
    }
    let Some(threshold) = threshold else { return Next::Seek(seek) };

    // Silence behind the last word is skipped only if there is enough of it.
    if last_word_end.is_some_and(|end| window_end - end <= threshold) {
        seek = window.seek + window.segment_size;
    }
    // If the first segment might be made up, the silence before it is.
    if let Some(first) = next_with_words(segments).filter(|first| is_anomaly(Some(first))) {
        let gap = first.start - time_offset;
        if gap > threshold {
            return Next::Again(window.seek.saturating_add_signed(frames(gap)));
        }
    }
    if let Some((index, at)) = find_amid_silence(segments, window, threshold, last_speech_timestamp) {
        seek = at;
        segments.truncate(index);
    }
    Next::Seek(seek)
}

/// The first suspect segment with silence or suspects on both sides, and where to go on without it.
fn find_amid_silence(
    segments: &[Segment],
    window: Window,
    threshold: f64,
    last_speech_timestamp: f64,
) -> Option<(usize, usize)> {
    let time_offset = seconds(window.seek);
    let window_end = seconds(window.seek + 3000);
    let mut last_end = last_speech_timestamp;
    for (index, segment) in segments.iter().enumerate() {
        if words(segment).is_empty() {
            continue;
        }
        if is_anomaly(Some(segment)) {
            let next = next_with_words(&segments[index + 1..]);
            let next_start =
                next.map_or(time_offset + seconds(window.segment_size), |next| words(next)[0].start);
            let silence_before = segment.start - last_end > threshold
                || segment.start < threshold
                || segment.start - time_offset < 2.0;
            let silence_after =
                next_start - segment.end > threshold || is_anomaly(next) || window_end - segment.end < 2.0;
            if silence_before && silence_after {
                let to_end = seconds(window.content_frames) - segment.end < threshold;
                let on = frame_of((time_offset + 1.0).max(segment.start));
                return Some((index, if to_end { window.content_frames } else { on }));
            }
        }
        last_end = segment.end;
    }
    None
}
