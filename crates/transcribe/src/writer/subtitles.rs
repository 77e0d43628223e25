//! SubRip and WebVTT files.

use std::io::{self, Write};

use super::cues::cues;
use super::{Writer, WriterOptions, format_timestamp};
use crate::Transcription;

/// OpenAI's `WriteSRT`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SrtWriter;

impl Writer for SrtWriter {
    fn extension(&self) -> &'static str {
        "srt"
    }

    fn write(&self, result: &Transcription, options: &WriterOptions, out: &mut dyn Write) -> io::Result<()> {
        let time = |seconds| format_timestamp(seconds, true, ',');
        for (number, cue) in (1..).zip(cues(result, options, &time)) {
            writeln!(out, "{number}\n{} --> {}\n{}\n", cue.start, cue.end, cue.text)?;
        }
        Ok(())
    }
}

/// OpenAI's `WriteVTT`.
#[derive(Clone, Copy, Debug, Default)]
pub struct VttWriter;

impl Writer for VttWriter {
    fn extension(&self) -> &'static str {
        "vtt"
    }

    fn write(&self, result: &Transcription, options: &WriterOptions, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "WEBVTT\n")?;
        let time = |seconds| format_timestamp(seconds, false, '.');
        for cue in cues(result, options, &time) {
            writeln!(out, "{} --> {}\n{}\n", cue.start, cue.end, cue.text)?;
        }
        Ok(())
    }
}
