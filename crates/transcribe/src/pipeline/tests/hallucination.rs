//! Seeking by words, rule by rule; the numbers are worked out from transcribe.py by hand.

#![allow(clippy::unwrap_used)]

use crate::pipeline::hallucination::{Next, Window, end_of_speech, reseek};
use crate::{Segment, Word};

const FIRST: Window =
    Window { seek: 0, segment_size: 3000, content_frames: 9000, single_timestamp_ending: false };

/// A segment of words of 0.4 s: `true` is a sure one, `false` an improbable one.
fn segment(start: f64, words: &[bool]) -> Segment {
    let mut time = start;
    let words: Vec<Word> = words
        .iter()
        .map(|&sure| {
            let probability = if sure { 0.9 } else { 0.1 };
            time += 0.4;
            Word { word: " word".into(), start: time - 0.4, end: time, probability }
        })
        .collect();
    Segment {
        id: 0,
        seek: 0,
        start,
        end: time,
        text: " word".into(),
        tokens: vec![1],
        temperature: 0.0,
        avg_logprob: 0.0,
        compression_ratio: 1.0,
        no_speech_prob: 0.0,
        words: Some(words),
    }
}

fn go(segments: &[Segment], window: Window, threshold: Option<f64>, last_speech: f64) -> (Next, usize) {
    let mut segments = segments.to_vec();
    let next = reseek(&mut segments, window, 1234, threshold, last_speech);
    (next, segments.len())
}

#[test]
fn the_last_word_says_where_to_go_on() {
    let said = [segment(1.0, &[true, true])];
    assert!((end_of_speech(&said).unwrap() - 1.8).abs() < 1e-9);
    assert_eq!(go(&said, FIRST, None, 0.0), (Next::Seek(180), 1));
    let ended = Window { single_timestamp_ending: true, ..FIRST };
    assert_eq!(go(&said, ended, None, 0.0), (Next::Seek(1234), 1), "nothing is said behind the timestamp");
    assert_eq!(go(&[], FIRST, None, 0.0), (Next::Seek(1234), 0));
    let silent = [segment(1.0, &[])];
    assert_eq!((end_of_speech(&silent), end_of_speech(&[])), (Some(1.0), None), "the segment's own end");
}

#[test]
fn little_silence_at_the_end_is_skipped() {
    let said = [segment(26.0, &[true, true])];
    assert_eq!(go(&said, FIRST, Some(3.5), 25.0), (Next::Seek(3000), 1), "3.2 s are left");
    assert_eq!(go(&said, FIRST, Some(3.0), 25.0), (Next::Seek(2680), 1));
}

#[test]
fn a_suspect_first_segment_is_heard_again_without_its_silence() {
    let suspect = [segment(6.0, &[false, false])];
    assert_eq!(go(&suspect, FIRST, Some(5.0), 0.0), (Next::Again(600), 1));
    assert_eq!(go(&suspect, FIRST, None, 0.0), (Next::Seek(680), 1));
}

#[test]
fn a_suspect_amid_silence_is_dropped() {
    // 3.0 s is less than the threshold after the file's start, which counts as silence before.
    let early = [segment(3.0, &[false]), segment(20.0, &[true; 3])];
    assert_eq!(go(&early, FIRST, Some(5.0), 0.0), (Next::Seek(300), 0));
    // The words of the next one come at once: no silence behind it.
    let close = [segment(3.0, &[false]), segment(3.5, &[true; 3])];
    assert_eq!(go(&close, FIRST, Some(5.0), 0.0), (Next::Seek(470), 2));
    // Two suspects in a row need no silence between them.
    let both = [segment(3.0, &[false]), segment(3.5, &[false])];
    assert_eq!(go(&both, FIRST, Some(5.0), 0.0), (Next::Seek(300), 0));
    // Speech just before: 12.0 − 11.0 is no silence, and it lies well inside window and file.
    let after_speech = [segment(10.6, &[true]), segment(12.0, &[false])];
    assert_eq!(go(&after_speech, FIRST, Some(5.0), 9.0).1, 2);
    let after_silence = [segment(5.6, &[true]), segment(12.0, &[false])];
    assert_eq!(go(&after_silence, FIRST, Some(5.0), 5.0), (Next::Seek(1200), 1));
    let at_the_end = Window { content_frames: 1500, segment_size: 1500, ..FIRST };
    // 15.0 − 12.4 s are left of the file, which no window is made of; 30 − 12.4 s of the window.
    let next = go(&after_silence, at_the_end, Some(3.0), 5.0);
    assert_eq!(next.1, 2, "2.6 s of audio behind it are no silence at a threshold of 3: {next:?}");
    assert_eq!(go(&after_silence, at_the_end, Some(2.5), 5.0), (Next::Seek(1200), 1));
    let late = Window { content_frames: 3000, ..FIRST };
    let last = [segment(5.6, &[true]), segment(28.2, &[false])];
    assert_eq!(go(&last, late, Some(5.0), 5.0), (Next::Seek(3000), 1), "nothing but its silence is left");
}

#[test]
fn the_first_eight_words_decide() {
    let mut words = [true; 20];
    words[8..].fill(false);
    let sure_start = [segment(3.0, &words)];
    assert_eq!(go(&sure_start, FIRST, Some(5.0), 0.0).1, 1, "twelve improbable words come too late");
    let mut words = [true; 20];
    words[5..8].fill(false);
    assert_eq!(go(&[segment(3.0, &words)], FIRST, Some(5.0), 0.0).1, 0, "three of eight are enough");
    let mut marks = segment(3.0, &[false, true]);
    marks.words.as_mut().unwrap()[0].word = "?".into();
    assert_eq!(go(&[marks], FIRST, Some(5.0), 0.0).1, 1, "punctuation does not count");
}
