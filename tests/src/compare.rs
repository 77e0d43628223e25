//! Decodings against goldens: what must be identical, what must be near, and how near.

use transcribe::decoding::DecodingResult;
use transcribe::{Segment, Transcription};

use crate::golden;

/// Probabilities and mean log-probabilities: sums of f32 rounding over some dozens of steps stay a hundredfold below.
pub const PROBABILITY: f64 = 1e-3;
/// Compression ratios are ratios of whole numbers of bytes: equal but for the division.
pub const COMPRESSION: f64 = 1e-9;
/// Segment times are multiples of 0.02 s that went through one addition.
pub const SEGMENT_TIME: f64 = 1e-6;
/// One step of the alignment: 20 ms, and room for the addition.
pub const WORD_TIME: f64 = 0.02 + 1e-6;
/// Share of words whose both times must lie within [`WORD_TIME`].
pub const WORDS_WITHIN: f64 = 0.99;

/// Words seen, and those with both times within [`WORD_TIME`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordCount {
    /// All words.
    pub total: usize,
    /// Those within.
    pub within: usize,
}

impl WordCount {
    /// Whether enough words are within; so also if there are none.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts of words")]
    pub fn suffices(self) -> bool {
        self.within as f64 >= WORDS_WITHIN * self.total as f64
    }
}

fn near(out: &mut Vec<String>, what: &str, got: f64, want: f64, bound: f64) {
    // Written so that a NaN fails.
    if (got - want).abs() <= bound {
        return;
    }
    out.push(format!("{what}: got {got}, want {want} within {bound:e}"));
}

fn same<T: PartialEq + std::fmt::Debug>(out: &mut Vec<String>, what: &str, got: &T, want: &T) {
    if got != want {
        out.push(format!("{what}: got {got:?}, want {want:?}"));
    }
}

/// First place where two sequences differ, which is the end of one if it is the beginning of the other.
#[must_use]
pub fn first_difference(got: &[u32], want: &[u32]) -> Option<usize> {
    if got == want {
        return None;
    }
    let common = got.iter().zip(want).take_while(|(got, want)| got == want).count();
    Some(common)
}

/// Differences of a window, each a line; empty if there is none.
#[must_use]
pub fn window(got: &DecodingResult, want: &golden::Window) -> Vec<String> {
    let mut out = Vec::new();
    same(&mut out, "tokens", &got.tokens, &want.tokens);
    same(&mut out, "text", &got.text, &want.text);
    near(&mut out, "avg_logprob", got.avg_logprob, want.avg_logprob, PROBABILITY);
    near(&mut out, "no_speech_prob", got.no_speech_prob, want.no_speech_prob, PROBABILITY);
    near(&mut out, "compression_ratio", got.compression_ratio, want.compression_ratio, COMPRESSION);
    out
}

/// Differences of a file, each a line; words are counted into `words`.
#[must_use]
pub fn file(got: &Transcription, want: &golden::File, words: &mut WordCount) -> Vec<String> {
    let mut out = Vec::new();
    same(&mut out, "text", &got.text, &want.text);
    same(&mut out, "number of segments", &got.segments.len(), &want.segments.len());
    for (got, want) in got.segments.iter().zip(&want.segments) {
        let mut lines = Vec::new();
        segment(&mut lines, got, want, words);
        out.extend(lines.into_iter().map(|line| format!("segment {}: {line}", want.id)));
    }
    out
}

fn segment(out: &mut Vec<String>, got: &Segment, want: &golden::Segment, count: &mut WordCount) {
    same(out, "id", &got.id, &want.id);
    same(out, "seek", &got.seek, &want.seek);
    same(out, "text", &got.text, &want.text);
    same(out, "tokens", &got.tokens, &want.tokens);
    near(out, "avg_logprob", got.avg_logprob, want.avg_logprob, PROBABILITY);
    near(out, "no_speech_prob", got.no_speech_prob, want.no_speech_prob, PROBABILITY);
    near(out, "compression_ratio", got.compression_ratio, want.compression_ratio, COMPRESSION);
    // With words the segment takes its times from them, and the share of words decides.
    let Some(want_words) = &want.words else {
        near(out, "start", got.start, want.start, SEGMENT_TIME);
        near(out, "end", got.end, want.end, SEGMENT_TIME);
        same(out, "has words", &got.words.is_some(), &false);
        return;
    };
    near(out, "start", got.start, want.start, WORD_TIME);
    near(out, "end", got.end, want.end, WORD_TIME);
    let got_words = got.words.as_deref().unwrap_or_default();
    let texts = |words: &mut dyn Iterator<Item = &String>| words.cloned().collect::<Vec<_>>();
    same(
        out,
        "words",
        &texts(&mut got_words.iter().map(|w| &w.word)),
        &texts(&mut want_words.iter().map(|w| &w.word)),
    );
    count.total += want_words.len();
    for (got, want) in got_words.iter().zip(want_words) {
        near(out, "word probability", got.probability, want.probability, PROBABILITY);
        let within = |got: f64, want: f64| (got - want).abs() <= WORD_TIME;
        count.within += usize::from(within(got.start, want.start) && within(got.end, want.end));
    }
}

/// Differences of the five likeliest languages.
#[must_use]
pub fn languages(got: &[(String, f32)], want: &[(String, f64)]) -> Vec<String> {
    let mut got = got.to_vec();
    got.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut out = Vec::new();
    let codes: Vec<_> = got.iter().take(want.len()).map(|(code, _)| code.clone()).collect();
    let want_codes: Vec<_> = want.iter().map(|(code, _)| code.clone()).collect();
    same(&mut out, "likeliest languages", &codes, &want_codes);
    for (code, want) in want {
        let got = got.iter().find(|(got, _)| got == code).map_or(f64::NAN, |(_, p)| f64::from(*p));
        near(&mut out, &format!("probability of {code}"), got, *want, PROBABILITY);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> golden::File {
        crate::golden::Goldens::of_repository().decodings.clips["SS-0890"].transcribe_greedy_t0_words.clone()
    }

    fn as_got(want: &golden::File) -> Transcription {
        let segments = want.segments.iter().map(|s| Segment {
            id: s.id,
            seek: s.seek,
            start: s.start,
            end: s.end,
            text: s.text.clone(),
            tokens: s.tokens.clone(),
            temperature: 0.0,
            avg_logprob: s.avg_logprob,
            compression_ratio: s.compression_ratio,
            no_speech_prob: s.no_speech_prob,
            words: s.words.as_ref().map(|words| {
                let word = |w: &golden::Word| transcribe::Word {
                    word: w.word.clone(),
                    start: w.start,
                    end: w.end,
                    probability: w.probability,
                };
                words.iter().map(word).collect()
            }),
        });
        Transcription { text: want.text.clone(), segments: segments.collect(), language: "en".into() }
    }

    #[test]
    fn every_field_of_a_file_can_fail() {
        let want = wanted();
        let mut count = WordCount::default();
        assert_eq!(file(&as_got(&want), &want, &mut count), Vec::<String>::new());
        assert!(count.total == 14 && count.within == 14, "{count:?}");

        type Spoil = fn(&mut Transcription);
        let spoils: [(&str, Spoil); 11] = [
            ("text", |t| t.text.push('!')),
            ("number of segments", |t| t.segments.clear()),
            ("seek", |t| t.segments[0].seek = 1),
            ("text", |t| t.segments[0].text.clear()),
            ("tokens", |t| t.segments[0].tokens[3] += 1),
            ("avg_logprob", |t| t.segments[0].avg_logprob = f64::NAN),
            ("no_speech_prob", |t| t.segments[0].no_speech_prob += 0.002),
            ("compression_ratio", |t| t.segments[0].compression_ratio += 1e-6),
            ("end", |t| t.segments[0].end += 0.04),
            ("words", |t| t.segments[0].words = None),
            ("word probability", |t| t.segments[0].words.as_mut().unwrap()[2].probability -= 0.01),
        ];
        for (name, spoil) in spoils {
            let mut got = as_got(&want);
            spoil(&mut got);
            let lines = file(&got, &want, &mut WordCount::default());
            assert!(lines.iter().any(|line| line.contains(name)), "{name}: {lines:?}");
        }
    }

    #[test]
    fn a_late_word_is_counted_and_one_in_fourteen_is_too_many() {
        let want = wanted();
        let mut got = as_got(&want);
        got.segments[0].words.as_mut().unwrap()[5].start += 0.04;
        let mut count = WordCount::default();
        assert!(file(&got, &want, &mut count).is_empty());
        assert!(count.within == 13 && !count.suffices(), "{count:?}");
        assert!(WordCount { total: 100, within: 99 }.suffices() && WordCount::default().suffices());
    }

    #[test]
    fn every_field_of_a_window_can_fail() {
        let want = crate::golden::Goldens::of_repository().decodings.clips["starts-loud"].beam5.clone();
        let good = DecodingResult {
            tokens: want.tokens.clone(),
            text: want.text.clone(),
            avg_logprob: want.avg_logprob,
            no_speech_prob: want.no_speech_prob,
            compression_ratio: want.compression_ratio,
            ..DecodingResult::default()
        };
        assert_eq!(window(&good, &want), Vec::<String>::new());
        let bad = DecodingResult {
            tokens: Vec::new(),
            text: String::new(),
            avg_logprob: good.avg_logprob + 0.01,
            no_speech_prob: f64::NAN,
            compression_ratio: 0.0,
            ..DecodingResult::default()
        };
        assert_eq!(window(&bad, &want).len(), 5);
    }

    #[test]
    fn the_first_difference_is_found_also_at_an_end() {
        assert_eq!(first_difference(&[1, 2, 3], &[1, 2, 3]), None);
        assert_eq!(first_difference(&[1, 2, 3], &[1, 9, 3]), Some(1));
        assert_eq!(first_difference(&[1, 2], &[1, 2, 3]), Some(2));
        assert_eq!(first_difference(&[], &[7]), Some(0));
    }

    #[test]
    fn languages_compare_by_rank_and_by_probability() {
        let want = [("en".to_owned(), 0.7), ("de".to_owned(), 0.2)];
        let got = |de: f32, fr: f32| vec![("fr".into(), fr), ("de".into(), de), ("en".into(), 0.7f32)];
        assert_eq!(languages(&got(0.2, 0.1), &want), Vec::<String>::new());
        assert_eq!(languages(&got(0.2, 0.3), &want).len(), 1);
        assert_eq!(languages(&got(0.21, 0.1), &want).len(), 1);
        assert_eq!(languages(&[], &want).len(), 3);
    }
}
