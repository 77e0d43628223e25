//! Options of where the text goes.

use std::path::PathBuf;

use clap::Args;

use super::values::boolean;
use crate::writer::Format;

/// Where the text goes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Write files into this folder, named after the audio [default with -f: the current folder]; - is standard output
    ///
    /// Without -o and -f the text goes to standard output, line by line as it is found, and no file is written.
    #[arg(short, long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// Formats of the files: txt, vtt, srt, tsv, json or all [default with -o: all]
    #[arg(short = 'f', long, value_name = "FORMAT", value_delimiter = ',', value_parser = formats(), ignore_case = true,
          hide_possible_values = true)]
    pub output_format: Vec<Formats>,
    /// Replace files that exist: what happens anyway, unless --skip-existing is given
    #[arg(long, conflicts_with = "skip_existing")]
    pub overwrite: bool,
    /// Leave out audio whose files all exist
    #[arg(long)]
    pub skip_existing: bool,
    /// Show times with the text, and more of what goes on
    ///
    /// Lines become `[00:00.000 --> 00:05.000]  text`. False shows no text when files are written.
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "True",
          value_name = "BOOL", value_parser = boolean)]
    pub verbose: Option<bool>,
    /// Only errors on standard error: no progress, no notes
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// One of OpenAI's formats, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formats {
    /// txt, vtt, srt, tsv and json.
    All,
    /// That one.
    One(Format),
}

fn formats() -> impl clap::builder::TypedValueParser<Value = Formats> {
    use clap::builder::TypedValueParser;
    let names = Format::ALL.iter().map(|format| format.name()).chain(["all"]);
    clap::builder::PossibleValuesParser::new(names).map(|name| {
        Format::ALL
            .iter()
            .find(|format| format.name().eq_ignore_ascii_case(&name))
            .map_or(Formats::All, |format| Formats::One(*format))
    })
}
