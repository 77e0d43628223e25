//! What can go wrong while downloading, in three parts each.

use hf_hub::api::sync::ApiError;

use super::folder::{TOKENIZER, TOKENIZER_HINT};
use super::hub::{HubSettings, INSTEAD};
use crate::{Error, ErrorKind};

/// A repository on a hub, for messages.
pub(super) struct Trouble<'a> {
    pub(super) id: &'a str,
    pub(super) hub: &'a HubSettings,
}

/// The repository holds some other kind of model.
pub(super) fn not_whisper(id: &str, reason: &str) -> Error {
    Error::new(
        ErrorKind::Model,
        format!("cannot use the model {id}"),
        format!("it is not a Whisper: {reason}"),
        "choose a Whisper model; `transcribe models` lists the short names",
    )
}

impl Trouble<'_> {
    fn error(&self, why: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::new(ErrorKind::Model, format!("cannot get the model {}", self.id), why, hint)
    }

    /// No home folder and no variable that names a cache.
    pub(super) fn no_cache(&self) -> Error {
        self.error("there is no home folder to keep downloads in", "set HF_HOME or --model-dir to a folder")
    }

    /// The repository lacks a file that is needed; `files` are those that it has.
    pub(super) fn missing(&self, file: &str, files: &[&str]) -> Error {
        let others: Vec<&str> = files
            .iter()
            .filter(|name| super::names::check_format(name).is_err() && !name.contains('/'))
            .copied()
            .take(3)
            .collect();
        let hint = if file == TOKENIZER {
            format!("download it into a folder and {TOKENIZER_HINT}, then give --model that folder")
        } else if others.is_empty() {
            "choose a repository in the layout of openai/whisper-base".to_owned()
        } else {
            format!(
                "it has only {}: choose a repository with safetensors, such as openai/whisper-base",
                others.join(", ")
            )
        };
        self.error(format!("the repository has no {file}"), hint)
    }

    /// A size other than the hub announced.
    pub(super) fn wrong_length(&self, file: &str, got: u64, want: u64) -> Error {
        self.error(
            format!("{file} came with {got} bytes instead of {want}; it was thrown away"),
            "run the command again",
        )
    }

    /// The branch moved between two files.
    pub(super) fn changed(&self, file: &str) -> Error {
        self.error(
            format!("the repository changed while it was downloaded (at {file})"),
            "run the command again",
        )
    }

    /// A file of the cache cannot be written.
    pub(super) fn write(&self, error: &std::io::Error) -> Error {
        let cache = self.hub.cache.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        self.error(
            format!("cannot write to the cache {cache}: {error}"),
            "make room or set HF_HOME or --model-dir to another folder",
        )
    }

    /// An answer that no hub gives.
    pub(super) fn not_a_hub(&self, why: &str) -> Error {
        self.error(
            format!("{} does not answer as a hub does: {why}", self.hub.endpoint),
            "check HF_ENDPOINT and your proxy",
        )
    }

    /// An error of the hub's client; `file` is the one under way.
    pub(super) fn api(&self, error: &ApiError, file: Option<&str>) -> Error {
        let at = file.map(|file| format!(" for {file}")).unwrap_or_default();
        match error {
            ApiError::TooManyRetries(last) => self.api(last, file),
            ApiError::RequestError(request) => match request.as_ref() {
                ureq::Error::StatusCode(code) => self.status(*code, &at),
                ureq::Error::Json(_) | ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
                    self.not_a_hub(&request.to_string())
                }
                other => self.error(
                    format!("cannot reach the hub at {}{at}: {other}", self.hub.endpoint),
                    format!("check the network and proxy and run again; {INSTEAD}"),
                ),
            },
            ApiError::IoError(io) if io.kind() == std::io::ErrorKind::StorageFull => self.write(io),
            ApiError::IoError(io) if io.kind() == std::io::ErrorKind::PermissionDenied => self.write(io),
            ApiError::IoError(io) => self.error(
                format!("the download broke off{at}: {io}"),
                "run the command again: it goes on where it stopped",
            ),
            ApiError::LockAcquisition(path) => self.error(
                format!("another program is downloading it (lock {})", path.display()),
                "wait for it to finish and run the command again",
            ),
            ApiError::InvalidResume => self.error(
                format!("what was left of an earlier download{at} is damaged"),
                "delete the .part file in the cache's blobs folder and run the command again",
            ),
            other => self.not_a_hub(&format!("{other}{at}")),
        }
    }

    fn status(&self, code: u16, at: &str) -> Error {
        let endpoint = &self.hub.endpoint;
        match (code, &self.hub.token) {
            // The hub says 401, not 404, to those who show no token: it does not tell what exists.
            (401 | 404, None) => self.error(
                format!("{endpoint} knows no such public repository or file{at} (HTTP {code})"),
                "check the spelling (`transcribe models` lists short names); a private or gated one needs HF_TOKEN",
            ),
            (401, Some(_)) => self.error(
                format!("{endpoint} does not accept the token (HTTP 401)"),
                "check HF_TOKEN, or unset it for a public model",
            ),
            (404, Some(_)) => self.error(
                format!("{endpoint} knows no such repository or file{at} (HTTP 404)"),
                "check the spelling; `transcribe models` lists short names",
            ),
            (403, _) => self.error(
                format!("{endpoint} refuses access (HTTP 403)"),
                "the repository is gated: accept its terms on its page and set HF_TOKEN",
            ),
            (429, _) => self.error(
                format!("{endpoint} refuses for now: too many requests (HTTP 429)"),
                "wait some minutes and run the command again",
            ),
            _ => self.error(
                format!("{endpoint} answers with an error{at} (HTTP {code})"),
                format!("try again later; {INSTEAD}"),
            ),
        }
    }
}
