//! The tokens of one window to spans of text, and where the next window begins (OpenAI transcribe.py, main loop).

/// A piece of a window's tokens with its times.
#[derive(Clone, Debug, PartialEq)]
pub struct Span<'a> {
    /// Start, seconds in the file.
    pub start: f64,
    /// End, seconds in the file.
    pub end: f64,
    /// Its tokens, timestamps included.
    pub tokens: &'a [u32],
}

/// A window's tokens cut at its timestamps.
#[derive(Clone, Debug, PartialEq)]
pub struct Split<'a> {
    /// Spans in order; an unfinished one at the end is left to the next window.
    pub spans: Vec<Span<'a>>,
    /// Mel frames from this window's start to the next window's.
    pub advance: usize,
    /// The tokens end in text and one timestamp: nothing is said after it.
    pub single_timestamp_ending: bool,
}

/// What [`split_window`] must know of the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowTimes {
    /// Start of the window, seconds.
    pub time_offset: f64,
    /// Mel frames of the window that are audio.
    pub segment_size: usize,
    /// Mel frames of one timestamp step: 2.
    pub input_stride: usize,
    /// Id of `<|0.00|>`.
    pub timestamp_begin: u32,
}

/// Seconds of `frames` mel frames, in OpenAI's order of operations (`frames · 160 / 16000`).
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub(crate) fn seconds(frames: usize) -> f64 {
    (frames * 160) as f64 / 16_000.0
}

/// Cuts a window's tokens where two timestamps meet.
///
/// With such a pair, each span runs between its first and last token's times. If the tokens end in text and a single
/// timestamp, the tail is a span too and the whole window is done; otherwise the tail is dropped and the next window
/// starts at the last pair. Without a pair everything is one span, as long as its last timestamp says (unless that
/// is 0.00) or else as long as the audio, and the whole window is done.
#[must_use]
pub fn split_window(tokens: &[u32], times: WindowTimes) -> Split<'_> {
    let WindowTimes { time_offset, segment_size, input_stride, timestamp_begin } = times;
    let is_timestamp = |token: u32| token >= timestamp_begin;
    let step = seconds(input_stride);
    // Signed, and in f64, as OpenAI computes it: a span need not begin with a timestamp.
    let position = |token: u32| f64::from(token) - f64::from(timestamp_begin);
    let single_timestamp_ending =
        matches!(tokens, [.., text, time] if !is_timestamp(*text) && is_timestamp(*time));

    let pairs = tokens.windows(2).enumerate().filter(|(_, two)| two.iter().all(|&token| is_timestamp(token)));
    let mut cuts: Vec<usize> = pairs.map(|(index, _)| index + 1).collect();
    if let Some(&last_pair) = cuts.last() {
        let advance = if single_timestamp_ending {
            cuts.push(tokens.len());
            segment_size
        } else {
            (tokens[last_pair - 1] - timestamp_begin) as usize * input_stride
        };
        let mut from = 0;
        let mut spans = Vec::with_capacity(cuts.len());
        for to in cuts {
            let tokens = &tokens[from..to]; // never empty: cuts rise, the first is at least 1
            spans.push(Span {
                start: time_offset + position(tokens[0]) * step,
                end: time_offset + position(tokens[tokens.len() - 1]) * step,
                tokens,
            });
            from = to;
        }
        return Split { spans, advance, single_timestamp_ending };
    }

    let last = tokens.iter().copied().rev().find(|&token| is_timestamp(token));
    let duration = match last {
        Some(token) if token != timestamp_begin => position(token) * step,
        _ => seconds(segment_size),
    };
    let whole = Span { start: time_offset, end: time_offset + duration, tokens };
    Split { spans: vec![whole], advance: segment_size, single_timestamp_ending }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u32 = 30;

    /// Start and end in hundredths after the window's start, and tokens.
    type Cut = (i64, i64, Vec<u32>);

    fn at(tokens: &[u32]) -> (Vec<Cut>, usize, bool) {
        let times =
            WindowTimes { time_offset: 60.0, segment_size: 2500, input_stride: 2, timestamp_begin: T };
        let split = split_window(tokens, times);
        #[allow(clippy::cast_possible_truncation)]
        let hundredths = |seconds: f64| ((seconds - 60.0) * 100.0).round() as i64;
        let spans =
            split.spans.iter().map(|s| (hundredths(s.start), hundredths(s.end), s.tokens.to_vec())).collect();
        (spans, split.advance, split.single_timestamp_ending)
    }

    #[test]
    fn a_pair_drops_the_tail() {
        let got = at(&[T, 1, 2, T + 50, T + 50, 3, T + 100, T + 110, 4]);
        let want = vec![(0, 100, vec![T, 1, 2, T + 50]), (100, 200, vec![T + 50, 3, T + 100])];
        assert_eq!(got, (want, 200, false));
    }

    #[test]
    fn a_single_timestamp_at_the_end_finishes_the_window() {
        let got = at(&[T + 5, 1, T + 50, T + 60, 3, T + 100]);
        let want = vec![(10, 100, vec![T + 5, 1, T + 50]), (120, 200, vec![T + 60, 3, T + 100])];
        assert_eq!(got, (want, 2500, true));
    }

    #[test]
    fn a_pair_at_the_end_closes_the_last_span() {
        let got = at(&[T, 1, T + 50, T + 50]);
        assert_eq!(got, (vec![(0, 100, vec![T, 1, T + 50])], 100, false));
    }

    #[test]
    fn without_a_pair_all_is_one() {
        assert_eq!(at(&[T, 1, 2]), (vec![(0, 2500, vec![T, 1, 2])], 2500, false), "0.00 says nothing");
        assert_eq!(at(&[T + 9, 1, T + 40]), (vec![(0, 80, vec![T + 9, 1, T + 40])], 2500, true));
        assert_eq!(at(&[T + 9, 1]), (vec![(0, 18, vec![T + 9, 1])], 2500, false));
        assert_eq!(at(&[1, 2]), (vec![(0, 2500, vec![1, 2])], 2500, false));
        assert_eq!(at(&[]), (vec![(0, 2500, vec![])], 2500, false));
        assert_eq!(at(&[T]), (vec![(0, 2500, vec![T])], 2500, false));
    }

    #[test]
    fn a_span_may_begin_with_text() {
        let got = at(&[1, T + 50, T + 50]);
        assert_eq!(got.0, [((1 - 30) * 2, 100, vec![1, T + 50])]);
    }
}
