//! Windows that answer from a list, and the ends that OpenAI's loop does not have.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use whisper_encoder::CancelToken;

use crate::decoding::{DecodingOptions, DecodingResult};
use crate::pipeline::sequential::{FileFacts, Windows, transcribe_windows};
use crate::pipeline::{Event, TranscribeOptions};
use crate::{ErrorKind, Result, Segment, Transcription, Word};

/// `<|0.00|>` of the small vocabulary; text is below 19.
pub(super) const T: u32 = 30;

/// What a decoding must be asked for, and what it gives.
pub(super) type Call = Box<dyn FnMut(usize, usize, &DecodingOptions) -> DecodingResult>;
/// Gives a window's segments their words: segments, frames, end of the speech before.
pub(super) type TimeWords = Box<dyn FnMut(&mut [Segment], usize, f64)>;

/// A file that answers from a script.
pub(super) struct Script {
    pub(super) decode: Call,
    pub(super) time_words: TimeWords,
    pub(super) encoded: Vec<(usize, usize)>,
}

impl Script {
    pub(super) fn new(decode: Call, time_words: TimeWords) -> Self {
        Self { decode, time_words, encoded: Vec::new() }
    }

    /// Windows that say these tokens, then nothing.
    fn saying(tokens: &[&[u32]]) -> Self {
        let mut tokens: VecDeque<Vec<u32>> = tokens.iter().map(|tokens| tokens.to_vec()).collect();
        let decode = move |_, _, options: &DecodingOptions| DecodingResult {
            tokens: tokens.pop_front().unwrap_or_default(),
            temperature: options.temperature,
            ..Default::default()
        };
        Self::new(Box::new(decode), Box::new(|_, _, _| {}))
    }
}

impl Windows for Script {
    type Audio = (usize, usize);

    fn encode(&mut self, seek: usize, frames: usize) -> Result<(usize, usize)> {
        assert!((1..=3000).contains(&frames), "a window of {frames} frames at {seek}");
        assert!(self.encoded.len() < 200, "endless: {:?}", &self.encoded[190..]);
        self.encoded.push((seek, frames));
        Ok((seek, frames))
    }

    fn attempts<'a>(
        &'a mut self,
        audio: &'a (usize, usize),
    ) -> Result<impl FnMut(&DecodingOptions) -> Result<DecodingResult> + 'a> {
        Ok(|options: &DecodingOptions| Ok((self.decode)(audio.0, audio.1, options)))
    }

    /// As `SmallTokenizer.decode` of the Python side.
    fn text(&self, tokens: &[u32]) -> String {
        let text = tokens.iter().map(|&token| match token {
            3 => " ".to_owned(),
            0..19 => format!(" w{token}"),
            19..T => format!("<|{token}|>"),
            _ => String::new(),
        });
        text.collect()
    }

    fn time_words(
        &mut self,
        segments: &mut [Segment],
        audio: &(usize, usize),
        frames: usize,
        last_speech_timestamp: f64,
    ) -> Result<()> {
        assert_eq!(audio.1, frames);
        (self.time_words)(segments, frames, last_speech_timestamp);
        Ok(())
    }
}

pub(super) fn facts(content_frames: usize, initial_prompt: Vec<u32>) -> FileFacts<'static> {
    FileFacts {
        content_frames,
        input_stride: 2,
        n_text_ctx: 48,
        eot: 19,
        timestamp_begin: T,
        language: "en",
        initial_prompt,
    }
}

fn run(script: &mut Script, frames: usize, options: &TranscribeOptions) -> Transcription {
    transcribe_windows(script, facts(frames, Vec::new()), options, &CancelToken::new(), &mut |_| {}).unwrap()
}

#[test]
fn clips_past_the_end_end() {
    // OpenAI asks for a window of −1000 frames here, and then of more and more.
    for clip in [vec![40.0], vec![40.0, 50.0], vec![0.0, 99.0], vec![29.0, 31.0, 99.0], vec![5.0, 2.0]] {
        let mut script = Script::saying(&[]);
        let options = TranscribeOptions { clip_timestamps: clip.clone(), ..Default::default() };
        run(&mut script, 3000, &options);
        assert!(script.encoded.iter().all(|(seek, frames)| seek + frames <= 3000), "{clip:?}");
    }
}

#[test]
fn a_clip_past_the_end_is_told_once() {
    let mut script = Script::saying(&[]);
    let options = TranscribeOptions { clip_timestamps: vec![31.0, 32.0, 40.0], ..Default::default() };
    let (mut told, cancel) = (Vec::new(), CancelToken::new());
    transcribe_windows(&mut script, facts(3000, Vec::new()), &options, &cancel, &mut |event| match event {
        Event::Warning(text) => told.push(text.to_owned()),
        other => panic!("{other:?}"),
    })
    .unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("at 31.00, 40.00 s") && told[0].contains("(30.00 s)"), "{told:?}");
    assert!(script.encoded.is_empty());
}

#[test]
fn a_window_that_would_not_advance_is_done() {
    // A suspect first word behind a gap that rounds to no frame: OpenAI decodes the same window for ever.
    let mut script = Script::saying(&[&[T, 1, T + 50, T + 50]]);
    script.time_words = Box::new(|segments, _, _| {
        for segment in segments {
            segment.start += 0.002;
            let (start, end) = (segment.start, segment.start + 0.02);
            segment.words = Some(vec![Word { word: " a".into(), start, end, probability: 0.01 }]);
        }
    });
    let options = TranscribeOptions {
        word_timestamps: true,
        hallucination_silence_threshold: Some(0.0),
        ..Default::default()
    };
    let got = run(&mut script, 4000, &options);
    assert_eq!(script.encoded, [(0, 3000), (3000, 1000)]);
    assert!(got.segments.iter().all(|segment| segment.seek != 0), "{:?}", got.segments);
}

#[test]
fn events_tell_the_same_as_the_result() {
    let says: [&[u32]; 2] = [&[T, 1, T + 50, T + 50, 2, T + 100], &[T, 3, T + 10]];
    let mut script = Script::saying(&says);
    let (mut told, mut progress) = (Vec::new(), Vec::new());
    let mut on_event = |event: Event<'_>| match event {
        Event::Segment(segment) => told.push(segment.clone()),
        Event::Progress { done, total } => progress.push((done, total)),
        other => panic!("{other:?}"),
    };
    let cancel = CancelToken::new();
    let options = TranscribeOptions::default();
    let got =
        transcribe_windows(&mut script, facts(3500, Vec::new()), &options, &cancel, &mut on_event).unwrap();
    assert_eq!(told, got.segments);
    assert_eq!(progress, [(3000, 3500), (3500, 3500)]);
    assert_eq!(got.text, " w1 w2", "the blank segment is emptied");
    let last = got.segments.last().unwrap();
    assert_eq!((last.id, last.text.as_str(), last.tokens.len(), &last.words), (2, "", 0, &Some(Vec::new())));
}

#[test]
fn cancelling_keeps_what_was_told() {
    let mut script = Script::saying(&[&[T, 1, T + 50, T + 50]]);
    let cancel = CancelToken::new();
    let mut told = 0;
    let options = TranscribeOptions::default();
    let error = transcribe_windows(&mut script, facts(9000, Vec::new()), &options, &cancel, &mut |event| {
        if matches!(event, Event::Segment(_)) {
            told += 1;
            cancel.cancel();
        }
    })
    .unwrap_err();
    assert_eq!((error.kind(), told, script.encoded.len()), (ErrorKind::Cancelled, 1, 1));
}
