//! Plain text: a segment a line.

use std::io::{self, Write};

use super::{Writer, WriterOptions};
use crate::Transcription;
use crate::tokenizer::whitespace::strip;

/// OpenAI's `WriteTXT`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TxtWriter;

impl Writer for TxtWriter {
    fn extension(&self) -> &'static str {
        "txt"
    }

    fn write(&self, result: &Transcription, _: &WriterOptions, out: &mut dyn Write) -> io::Result<()> {
        result.segments.iter().try_for_each(|segment| writeln!(out, "{}", strip(&segment.text)))
    }
}
