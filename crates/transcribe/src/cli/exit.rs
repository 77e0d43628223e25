//! Exit codes. They are written out in `--help`; scripts rely on them.

use std::process::ExitCode;

use crate::ErrorKind;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All was done.
    Done = 0,
    /// At least one file failed; the others were done.
    SomeFailed = 1,
    /// The command line makes no sense. clap's own code.
    Usage = 2,
    /// The model is missing, damaged or not downloadable.
    Model = 3,
    /// The requested device is not available.
    Device = 4,
    /// Ctrl-C: 128 + SIGINT, as shells count.
    Interrupted = 130,
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage => Self::Usage,
            ErrorKind::Model => Self::Model,
            ErrorKind::Device => Self::Device,
            ErrorKind::Cancelled => Self::Interrupted,
            ErrorKind::Input | ErrorKind::Output | ErrorKind::Internal => Self::SomeFailed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The part of `--help` on exit codes and environment.
pub(super) const HELP: &str = "\
Exit codes:
  0    all files done
  1    some file failed (the others are done)
  2    the command line makes no sense
  3    the model is missing, damaged or cannot be downloaded
  4    the requested device is not available
  130  stopped with Ctrl-C (finished files are kept; a second Ctrl-C stops at once)
`transcribe doctor` ends with 0, or with the 3 or 4 that a transcription would end with.

Environment:
  TRANSCRIBE_MODEL_DIR               as --model-dir
  HF_HOME, HF_HUB_CACHE              where downloaded models are kept
  HF_HUB_OFFLINE=1                   as --offline
  HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH
                                     another hub; access to private models
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY  proxies for downloads

Every option of OpenAI's `whisper` command works, with underscores (--beam_size) or hyphens
(--beam-size), and True or False after switches. A file whose name is that of a subcommand is
given as ./encode.";
