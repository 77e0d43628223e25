//! The command line, resolved: what [`super::run`] works by.

use std::path::PathBuf;

use super::inputs::Job;
use crate::audio::RawFormat;
use crate::model::{Device, LevelKind, ModelRequest, Precision};
use crate::pipeline::TranscribeOptions;
use crate::writer::{Format, WriterOptions};

/// A whole run of `transcribe AUDIO…`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Which model.
    pub request: ModelRequest,
    /// What to open it on.
    pub machine: Machine,
    /// Inputs in the order given, with the files that each will make.
    pub jobs: Vec<Job>,
    /// Format of headerless input.
    pub raw: Option<RawFormat>,
    /// How to decode.
    pub how: How,
    /// What to show.
    pub show: Show,
    /// Files to write.
    pub files: Option<Files>,
    /// How subtitles are cut into lines.
    pub subtitles: WriterOptions,
    /// Sentences for standard error, about options without effect.
    pub warnings: Vec<String>,
}

/// What to open a model on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Device of the encoder.
    pub device: Device,
    /// Numbers to compute in.
    pub precision: Precision,
    /// Threads; `None` is one per core.
    pub threads: Option<usize>,
    /// Instructions of the CPU; `None` is the fastest.
    pub level: Option<LevelKind>,
    /// Whether whatever an NPU does not do is an error.
    pub require_npu: bool,
}

/// How to decode each file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct How {
    /// Options of the pipeline; `decoding.prefix` is left empty (it takes a tokenizer).
    pub options: TranscribeOptions,
    /// Text that each window must begin with.
    pub prefix: Option<String>,
}

/// What goes to the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    /// Text on standard output.
    pub text: Text,
    /// Notes on standard error.
    pub notes: bool,
    /// Neither progress nor warnings on standard error.
    pub quiet: bool,
}

/// Text on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Text {
    /// None: it goes to files.
    Nothing,
    /// A line for each segment, as it is found.
    #[default]
    Plain,
    /// A line for each segment with its times, as OpenAI's `--verbose True`.
    Timed,
    /// One document per input when it is finished (`-o -`).
    Document(Format),
}

/// Files to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Files {
    /// Folder of the files; made if it is not there.
    pub folder: PathBuf,
    /// Each once.
    pub formats: Vec<Format>,
    /// Leave out inputs whose files all exist.
    pub skip_existing: bool,
}
