//! Tab-separated start, end (whole milliseconds) and text.

use std::io::{self, Write};

use super::{Writer, WriterOptions};
use crate::Transcription;
use crate::tokenizer::whitespace::strip;

/// OpenAI's `WriteTSV`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TsvWriter;

impl Writer for TsvWriter {
    fn extension(&self) -> &'static str {
        "tsv"
    }

    fn write(&self, result: &Transcription, _: &WriterOptions, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "start\tend\ttext")?;
        result.segments.iter().try_for_each(|segment| {
            let text = strip(&segment.text).replace('\t', " ");
            writeln!(out, "{}\t{}\t{text}", milliseconds(segment.start), milliseconds(segment.end))
        })
    }
}

/// Python's `round(1000 * seconds)`: halves to even.
#[allow(clippy::cast_possible_truncation)]
fn milliseconds(seconds: f64) -> i64 {
    (1000.0 * seconds).round_ties_even() as i64
}
