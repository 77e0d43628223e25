//! The loop over the windows of a file (OpenAI transcribe.py, `transcribe`), by tokens and times alone.

use whisper_encoder::CancelToken;
use whisper_encoder::log_mel::WINDOW_FRAMES;

use super::clips::{beyond_the_end, clips};
use super::fallback::decode_with_fallback;
use super::hallucination::{Next, Window, end_of_speech, reseek};
use super::history::History;
use super::{Event, TranscribeOptions};
use crate::decoding::python::strip;
use crate::decoding::{DecodingOptions, DecodingResult};
use crate::segment::{Span, WindowTimes, seconds, split_window};
use crate::{Result, Segment, Transcription};

/// What the loop asks of a file and a model; tests answer from a script.
pub(crate) trait Windows {
    /// One encoded window.
    type Audio;

    /// Encodes the window of `frames` mel frames from `seek` on, filled up to 30 s.
    fn encode(&mut self, seek: usize, frames: usize) -> Result<Self::Audio>;

    /// What decodes it, again and again.
    fn attempts<'a>(
        &'a mut self,
        audio: &'a Self::Audio,
    ) -> Result<impl FnMut(&DecodingOptions) -> Result<DecodingResult> + 'a>;

    /// Text of tokens.
    fn text(&self, tokens: &[u32]) -> String;

    /// Gives the segments of a window their words, and may move their ends.
    fn time_words(
        &mut self,
        segments: &mut [Segment],
        audio: &Self::Audio,
        frames: usize,
        last_speech_timestamp: f64,
    ) -> Result<()>;
}

/// What the loop knows of the file and the vocabulary.
#[derive(Clone, Debug)]
pub(crate) struct FileFacts<'a> {
    /// Mel frames without the padding.
    pub(crate) content_frames: usize,
    /// Mel frames of an encoder position: 2.
    pub(crate) input_stride: usize,
    pub(crate) n_text_ctx: usize,
    pub(crate) eot: u32,
    pub(crate) timestamp_begin: u32,
    pub(crate) language: &'a str,
    /// Its tokens; none if there is no initial prompt.
    pub(crate) initial_prompt: Vec<u32>,
}

/// Transcribes window by window.
///
/// Ends for every input, where OpenAI may not: clips end with the audio, and a window that would be decoded again from
/// its own start or from before it (word times can ask for that) is taken as done.
pub(crate) fn transcribe_windows<W: Windows>(
    windows: &mut W,
    facts: FileFacts<'_>,
    options: &TranscribeOptions,
    cancel: &CancelToken,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Transcription> {
    let total = facts.content_frames;
    let clips = clips(&options.clip_timestamps, total)?;
    if let Some(warning) = beyond_the_end(&clips, total) {
        on_event(Event::Warning(&warning));
    }
    let mut file = File {
        history: History::new(facts.initial_prompt.clone(), options.carry_initial_prompt, facts.n_text_ctx),
        facts,
        options,
        segments: Vec::new(),
        last_speech_timestamp: 0.0,
    };
    for clip in clips {
        let mut seek = clip.start;
        while seek < clip.end {
            cancel.check()?;
            let segment_size = WINDOW_FRAMES.min(clip.end - seek);
            let told = file.segments.len();
            let next = file.window(windows, seek, segment_size)?;
            file.segments[told..].iter().for_each(|segment| on_event(Event::Segment(segment)));
            seek = if next > seek { next } else { seek + segment_size };
            on_event(Event::Progress { done: seek.min(total), total });
        }
    }
    let text = windows.text(file.history.spoken());
    Ok(Transcription { text, segments: file.segments, language: file.facts.language.to_owned() })
}

/// A file in the middle of its transcription.
struct File<'a> {
    facts: FileFacts<'a>,
    options: &'a TranscribeOptions,
    history: History,
    segments: Vec<Segment>,
    last_speech_timestamp: f64,
}

impl File<'_> {
    /// Transcribes one window; returns where the next one starts.
    fn window<W: Windows>(&mut self, windows: &mut W, seek: usize, segment_size: usize) -> Result<usize> {
        let audio = windows.encode(seek, segment_size)?;
        let prompt = self.history.prompt();
        let result = decode_with_fallback(self.options, seek, &prompt, windows.attempts(&audio)?)?;
        if self.options.is_silence(&result) {
            return Ok(seek + segment_size);
        }

        let split = split_window(
            &result.tokens,
            WindowTimes {
                time_offset: seconds(seek),
                segment_size,
                input_stride: self.facts.input_stride,
                timestamp_begin: self.facts.timestamp_begin,
            },
        );
        let mut next = seek + split.advance;
        let mut segments: Vec<Segment> =
            split.spans.iter().map(|span| self.segment(windows, seek, span, &result)).collect();

        if self.options.word_timestamps {
            windows.time_words(&mut segments, &audio, segment_size, self.last_speech_timestamp)?;
            let content_frames = self.facts.content_frames;
            let single_timestamp_ending = split.single_timestamp_ending;
            let window = Window { seek, segment_size, content_frames, single_timestamp_ending };
            let threshold = self.options.hallucination_silence_threshold;
            match reseek(&mut segments, window, next, threshold, self.last_speech_timestamp) {
                Next::Again(from) => return Ok(from),
                Next::Seek(to) => next = to,
            }
            if let Some(end) = end_of_speech(&segments) {
                self.last_speech_timestamp = end;
            }
        }
        self.keep(segments);
        if !self.options.condition_on_previous_text || result.temperature > 0.5 {
            // What was sampled at a high temperature is no prompt to go by.
            self.history.reset();
        }
        Ok(next)
    }

    fn segment<W: Windows>(
        &self,
        windows: &W,
        seek: usize,
        span: &Span<'_>,
        result: &DecodingResult,
    ) -> Segment {
        let text: Vec<u32> = span.tokens.iter().copied().filter(|&token| token < self.facts.eot).collect();
        Segment {
            id: 0,
            seek,
            start: span.start,
            end: span.end,
            text: windows.text(&text),
            tokens: span.tokens.to_vec(),
            temperature: result.temperature,
            avg_logprob: result.avg_logprob,
            compression_ratio: result.compression_ratio,
            no_speech_prob: result.no_speech_prob,
            words: None,
        }
    }

    /// Adds a window's segments to the file. Those that are blank or take no time keep their place and lose all else,
    /// so that they are no prompt either.
    #[allow(clippy::float_cmp, reason = "OpenAI compares for equality")]
    fn keep(&mut self, segments: Vec<Segment>) {
        for mut segment in segments {
            segment.id = self.segments.len();
            if segment.start == segment.end || strip(&segment.text).is_empty() {
                segment.text.clear();
                segment.tokens.clear();
                segment.words = Some(Vec::new());
            }
            self.history.extend(&segment.tokens);
            self.segments.push(segment);
        }
    }
}
