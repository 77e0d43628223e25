//! Everything about a transcription, as Python's `json.dump` of OpenAI's result dictionary.

use std::io::{self, Write};

use serde_json::Value;

use super::python::{float, list, string, value};
use super::{Writer, WriterOptions};
use crate::{Segment, Transcription, Word};

/// OpenAI's `WriteJSON`; with a receipt of the run if asked for, which is the only thing that OpenAI's lacks.
#[derive(Clone, Debug, Default)]
pub struct JsonWriter {
    run: Option<Value>,
}

impl JsonWriter {
    /// Writes `run` under the key `run`, after `language`.
    #[must_use]
    pub fn with_run(run: Value) -> Self {
        Self { run: Some(run) }
    }
}

impl Writer for JsonWriter {
    fn extension(&self) -> &'static str {
        "json"
    }

    fn write(&self, result: &Transcription, _: &WriterOptions, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"{\"text\": ")?;
        string(&result.text, out)?;
        out.write_all(b", \"segments\": ")?;
        list(&result.segments, out, segment)?;
        out.write_all(b", \"language\": ")?;
        string(&result.language, out)?;
        if let Some(run) = &self.run {
            out.write_all(b", \"run\": ")?;
            value(run, out)?;
        }
        out.write_all(b"}")
    }
}

fn segment(segment: &Segment, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{{\"id\": {}, \"seek\": {}", segment.id, segment.seek)?;
    write!(out, ", \"start\": {}, \"end\": {}, \"text\": ", float(segment.start), float(segment.end))?;
    string(&segment.text, out)?;
    out.write_all(b", \"tokens\": ")?;
    list(&segment.tokens, out, |token, out| write!(out, "{token}"))?;
    let numbers = [
        ("temperature", segment.temperature),
        ("avg_logprob", segment.avg_logprob),
        ("compression_ratio", segment.compression_ratio),
        ("no_speech_prob", segment.no_speech_prob),
    ];
    numbers.iter().try_for_each(|(name, number)| write!(out, ", \"{name}\": {}", float(*number)))?;
    if let Some(words) = &segment.words {
        out.write_all(b", \"words\": ")?;
        list(words, out, word)?;
    }
    out.write_all(b"}")
}

fn word(word: &Word, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"{\"word\": ")?;
    string(&word.word, out)?;
    let (start, end, probability) = (float(word.start), float(word.end), float(word.probability));
    write!(out, ", \"start\": {start}, \"end\": {end}, \"probability\": {probability}}}")
}
