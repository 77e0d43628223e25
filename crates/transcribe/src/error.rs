//! One error for the crate, in three parts: what failed, why, what to do.

use std::error::Error as StdError;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of thing failed; decides the exit code of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Contradictory or impossible options.
    Usage,
    /// One input: missing, unreadable, not audio, damaged.
    Input,
    /// One output: cannot be written.
    Output,
    /// The model: missing, damaged, mismatched, not downloadable.
    Model,
    /// A requested device is not available.
    Device,
    /// The user stopped it.
    Cancelled,
    /// Something that should not happen.
    Internal,
}

/// What failed, why, and what to do about it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    why: String,
    hint: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error in three parts; leave `hint` empty only where nothing can be done.
    pub fn new(
        kind: ErrorKind,
        what: impl Into<String>,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { kind, what: what.into(), why: why.into(), hint: hint.into(), source: None }
    }

    /// Keeps the cause for [`StdError::source`].
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind, which decides the exit code.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What failed.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Why it failed.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What to do; may be empty.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if !self.hint.is_empty() {
            write!(f, "\n  {}", self.hint)?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<whisper_encoder::Error> for Error {
    fn from(error: whisper_encoder::Error) -> Self {
        use whisper_encoder::Error as E;
        let advised;
        let (kind, what, hint) = match &error {
            E::Cancelled => (ErrorKind::Cancelled, "stopped", ""),
            E::Read { .. } => {
                (ErrorKind::Model, "cannot load the model", "check --model, or download the model again")
            }
            E::Config { .. } | E::Checkpoint { .. } | E::Weights(_) => {
                (ErrorKind::Model, "cannot load the model", error.hint())
            }
            // The back-end knows what is missing on this machine.
            E::Device { device, hint, .. } if !hint.is_empty() => {
                advised = if device == "cpu" {
                    hint.clone()
                } else {
                    format!("{hint}; --device cpu needs none of it")
                };
                (ErrorKind::Device, "cannot use the device", advised.as_str())
            }
            E::Device { .. } => (
                ErrorKind::Device,
                "cannot use the device",
                "run with --device cpu, or leave out --device and --require-npu",
            ),
            E::Options(_) => {
                (ErrorKind::Usage, "cannot compute so", "leave out --precision or --device, or give others")
            }
            E::Fault { .. } => (
                ErrorKind::Device,
                "the device failed",
                "leave out --require-npu to let the CPU stand in, or run `transcribe doctor`",
            ),
            _ => (ErrorKind::Internal, "the encoder failed", "please report this with the command line used"),
        };
        let hint = hint.to_owned();
        Self::new(kind, what, error.to_string(), hint).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn what_the_back_end_advises_reaches_the_user() {
        let hint = |device: &str, hint: &str| {
            let error = whisper_encoder::Error::Device {
                device: device.into(),
                reason: "it is not there".into(),
                hint: hint.into(),
            };
            Error::from(error).hint().to_owned()
        };
        assert_eq!(hint("npu", "load amdxdna"), "load amdxdna; --device cpu needs none of it");
        assert!(hint("npu", "").contains("--device cpu"));
        assert_eq!(hint("cpu", "leave the level out"), "leave the level out");
    }
}
