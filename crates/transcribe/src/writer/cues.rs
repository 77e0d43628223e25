//! Cuts a transcription into subtitles (OpenAI utils.py, `SubtitlesWriter.iterate_result`).

use super::WriterOptions;
use crate::tokenizer::whitespace::{is_space, strip};
use crate::{Segment, Transcription, Word};

/// A stretch of text on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) start: String,
    pub(super) end: String,
    pub(super) text: String,
}

/// "No limit" of line width and words per line.
const NO_LIMIT: usize = 1000;

/// A longer gap between the starts of two words begins a new subtitle, seconds.
const LONG_PAUSE: f64 = 3.0;

/// All subtitles: of words where every segment has them, otherwise of segments.
///
/// Segments emptied by the transcription loop have an empty word list even without word times. If such a segment comes
/// first, OpenAI's writer stops with a KeyError at the next one; here the segments are written.
pub(super) fn cues(
    result: &Transcription,
    options: &WriterOptions,
    time: &dyn Fn(f64) -> String,
) -> Vec<Cue> {
    let words: Option<Vec<&[Word]>> =
        result.segments.iter().map(|segment| segment.words.as_deref()).collect();
    match words {
        Some(words) if !words.is_empty() => of_words(&result.segments, &words, options, time),
        _ => result.segments.iter().map(|segment| of_segment(segment, time)).collect(),
    }
}

fn of_segment(segment: &Segment, time: &dyn Fn(f64) -> String) -> Cue {
    let text = strip(&segment.text).replace("-->", "->");
    Cue { start: time(segment.start), end: time(segment.end), text }
}

fn of_words(
    segments: &[Segment],
    words: &[&[Word]],
    options: &WriterOptions,
    time: &dyn Fn(f64) -> String,
) -> Vec<Cue> {
    let mut cues = Vec::new();
    for subtitle in subtitles(segments, words, options) {
        let (Some(first), Some(last)) = (subtitle.first(), subtitle.last()) else { continue };
        let text: String = subtitle.iter().map(|word| word.word.as_str()).collect();
        let (start, end) = (time(first.start), time(last.end));
        if options.highlight_words {
            highlight(&subtitle, &start, &text, time, &mut cues);
        } else {
            cues.push(Cue { start, end, text });
        }
    }
    cues
}

/// A cue for each word with the word underlined, and one for each gap between words.
fn highlight(subtitle: &[Word], start: &str, text: &str, time: &dyn Fn(f64) -> String, cues: &mut Vec<Cue>) {
    let mut last = start.to_owned();
    for (i, word) in subtitle.iter().enumerate() {
        let (start, end) = (time(word.start), time(word.end));
        if last != start {
            cues.push(Cue { start: last, end: start.clone(), text: text.to_owned() });
        }
        let marked = subtitle
            .iter()
            .enumerate()
            .map(|(j, word)| if i == j { underline(&word.word) } else { word.word.clone() });
        cues.push(Cue { start, end: end.clone(), text: marked.collect() });
        last = end;
    }
}

/// `re.sub(r"^(\s*)(.*)$", r"\1<u>\2</u>", word)`: `.` takes no line break, `$` stands before a final one.
fn underline(word: &str) -> String {
    let text = word.trim_start_matches(is_space);
    let space = &word[..word.len() - text.len()];
    let (text, tail) = text.strip_suffix('\n').map_or((text, ""), |text| (text, "\n"));
    if text.contains('\n') { word.to_owned() } else { format!("{space}<u>{text}</u>{tail}") }
}

/// Words grouped into subtitles; words that begin a line are stripped, and a line break put before them.
fn subtitles(segments: &[Segment], words: &[&[Word]], options: &WriterOptions) -> Vec<Vec<Word>> {
    // 0 is no value at all, as in Python.
    let limit = |value: Option<usize>| value.filter(|value| *value > 0);
    let max_line_count = limit(options.max_line_count);
    let preserve_segments = max_line_count.is_none() || limit(options.max_line_width).is_none();
    let max_line_width = limit(options.max_line_width).unwrap_or(NO_LIMIT);
    let max_words = limit(options.max_words_per_line).unwrap_or(NO_LIMIT);

    let mut done = Vec::new();
    let mut subtitle: Vec<Word> = Vec::new();
    let (mut line_len, mut line_count) = (0, 1);
    let first_word = words.iter().find_map(|words| words.first()).map(|word| word.start);
    let mut last = first_word.or(segments.first().map(|segment| segment.start)).unwrap_or(0.0);
    for (i, word) in
        words.iter().flat_map(|words| words.chunks(max_words)).flat_map(|chunk| chunk.iter().enumerate())
    {
        let mut word = word.clone();
        let length = word.word.chars().count();
        let long_pause = !preserve_segments && word.start - last > LONG_PAUSE;
        let has_room = line_len + length <= max_line_width;
        let segment_break = i == 0 && !subtitle.is_empty() && preserve_segments;
        if line_len > 0 && has_room && !long_pause && !segment_break {
            line_len += length;
        } else {
            let text = strip(&word.word).to_owned();
            let after = line_len;
            line_len = text.chars().count();
            word.word = text;
            let full = max_line_count.is_some_and(|most| long_pause || line_count >= most);
            if (!subtitle.is_empty() && full) || segment_break {
                done.push(std::mem::take(&mut subtitle));
                line_count = 1;
            } else if after > 0 {
                line_count += 1;
                word.word.insert(0, '\n');
            }
        }
        last = word.start;
        subtitle.push(word);
    }
    if !subtitle.is_empty() {
        done.push(subtitle);
    }
    done
}
