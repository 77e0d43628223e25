//! Output files, byte for byte as OpenAI's `utils.py` writes them: txt, vtt, srt, tsv, json.

mod cues;
mod file;
mod json;
mod python;
mod subtitles;
#[cfg(test)]
mod tests;
mod timestamp;
mod tsv;
mod txt;

use std::io::{self, Write};

pub use self::file::{Unfinished, check_place, make_atomically, output_path, write_atomically, write_output};
pub use self::json::JsonWriter;
pub use self::subtitles::{SrtWriter, VttWriter};
pub use self::timestamp::format_timestamp;
pub use self::tsv::TsvWriter;
pub use self::txt::TxtWriter;
use crate::Transcription;

/// How subtitles are cut into lines; without word times they have no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterOptions {
    /// Underline each word as it is spoken.
    pub highlight_words: bool,
    /// Characters of a line; 0 and `None` are no limit (1000, as in OpenAI's).
    pub max_line_width: Option<usize>,
    /// Lines of a subtitle; needs a line width.
    pub max_line_count: Option<usize>,
    /// Words of a line within a segment; 0 and `None` are no limit (1000).
    pub max_words_per_line: Option<usize>,
}

/// Writes a transcription in one format.
pub trait Writer {
    /// The file name's extension, without the dot.
    fn extension(&self) -> &'static str;

    /// Writes the whole text of the file.
    ///
    /// # Errors
    /// Those of `out`.
    fn write(
        &self,
        transcription: &Transcription,
        options: &WriterOptions,
        out: &mut dyn Write,
    ) -> io::Result<()>;
}

/// The formats, by OpenAI's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A segment a line.
    Txt,
    /// WebVTT subtitles.
    Vtt,
    /// SubRip subtitles.
    Srt,
    /// Start and end in milliseconds and text, between tabs.
    Tsv,
    /// Everything.
    Json,
}

impl Format {
    /// What `all` means, in OpenAI's order.
    pub const ALL: [Self; 5] = [Self::Txt, Self::Vtt, Self::Srt, Self::Tsv, Self::Json];

    /// Its name, which is also the extension.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Vtt => "vtt",
            Self::Srt => "srt",
            Self::Tsv => "tsv",
            Self::Json => "json",
        }
    }

    /// The formats that a name stands for: one, or all of them for `all`; none for an unknown name.
    #[must_use]
    pub fn named(name: &str) -> Vec<Self> {
        Self::ALL.into_iter().filter(|format| name == "all" || name == format.name()).collect()
    }

    /// Its writer (for json without a receipt; see [`JsonWriter::with_run`]).
    #[must_use]
    pub fn writer(self) -> Box<dyn Writer> {
        match self {
            Self::Txt => Box::new(TxtWriter),
            Self::Vtt => Box::new(VttWriter),
            Self::Srt => Box::new(SrtWriter),
            Self::Tsv => Box::new(TsvWriter),
            Self::Json => Box::new(JsonWriter::default()),
        }
    }
}
