//! Where a model comes from: bundled, a path, the hub's cache, or a download.
//!
//! [`find`] turns what stands after `--model` into [`ModelFiles`]; [`open()`] turns those into a model that works.
//!
//! | `--model` | meaning |
//! |---|---|
//! | nothing | the bundled model, by the search order of [`locate`] |
//! | a path (with a separator, or `.safetensors`) | a folder in the hub's layout, or its file of weights |
//! | a short name of [`names`] | its repository on the hub, from the cache if it is there |
//! | the folder name of an installed model | that folder, by the search order of [`locate`] |
//! | a file or folder that exists | that |
//! | `organisation/name` | that repository on the hub, from the cache if it is there; not one that is in no cache while a folder `organisation` is here: that is taken for a path with a mistake |

pub mod alignment_heads;
pub mod folder;
pub mod hub;
#[cfg(feature = "hub")]
mod hub_download;
#[cfg(feature = "hub")]
mod hub_errors;
#[cfg(feature = "hub")]
mod hub_progress;
pub mod install;
pub mod list;
pub mod locate;
pub mod names;
mod open;

use std::path::{Path, PathBuf};

pub use cpu_backend::LevelKind;
pub use hub::HubSettings;
pub use locate::Surroundings;
pub(crate) use open::level;
pub use open::{OpenOptions, WhisperModel, open};
pub use whisper_encoder::{Device, Precision};

use crate::{Error, ErrorKind, Result};

/// Where the files of a model were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// The model that comes with the program, or one installed beside it.
    Bundled,
    /// A path given by the user.
    Path,
    /// The hub's cache; no network was used.
    Cache,
    /// Just downloaded from the hub (into its cache).
    Downloaded,
}

impl ModelSource {
    /// A word for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bundled => "bundled",
            Self::Path => "path",
            Self::Cache => "cache",
            Self::Downloaded => "downloaded",
        }
    }
}

/// The files of a model; all exist, in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// What to call it: the short name, the repository or the folder.
    pub name: String,
    /// Where it was found.
    pub source: ModelSource,
    /// The folder of all the files.
    pub folder: PathBuf,
    /// `config.json`: dimensions.
    pub config: PathBuf,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// `generation_config.json`, where there is one: alignment heads, suppressed tokens.
    pub generation_config: Option<PathBuf>,
    /// `preprocessor_config.json`, where there is one.
    pub preprocessor_config: Option<PathBuf>,
    /// The safetensors files: one, or the shards in the order of their names.
    pub weights: Vec<PathBuf>,
}

impl ModelFiles {
    /// The name by which others know it, whatever it was called when it was asked for: the hub's repository for a short
    /// name, the name of the folder for a path.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.source {
            ModelSource::Cache | ModelSource::Downloaded => {
                names::hub_id(&self.name).map_or_else(|| self.name.clone(), String::from)
            }
            ModelSource::Bundled | ModelSource::Path => {
                // `.` and `x/..` have a name only once they are resolved.
                let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
                folder
                    .file_name()
                    .map_or_else(|| self.name.clone(), |name| name.to_string_lossy().into_owned())
            }
        }
    }
}

/// What [`find`] goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRequest {
    /// What stands after `--model`.
    pub model: Option<String>,
    /// Where to look on this machine.
    pub surroundings: Surroundings,
    /// How to use the hub.
    pub hub: HubSettings,
    /// Show no progress of downloads.
    pub quiet: bool,
}

/// The files of the model that was asked for; downloads them if they are on the hub and not in its cache.
///
/// # Errors
/// [`ErrorKind::Model`]: not there, incomplete, in another format, not downloadable.
pub fn find(request: &ModelRequest) -> Result<ModelFiles> {
    let Some(model) = request.model.as_deref() else { return bundled(&request.surroundings) };
    let path = Path::new(model);
    if is_path(model) {
        if !path.exists() {
            return Err(missing_path(model));
        }
        return folder::open(path, model, ModelSource::Path);
    }
    names::check_format(model)?;
    if let Some(id) = names::hub_id(model) {
        return hub::fetch(id, model, &request.hub, request.quiet);
    }
    if !model.contains('/')
        && let Some(found) = request.surroundings.find(model)
    {
        return folder::open(&found, model, ModelSource::Bundled);
    }
    if path.exists() {
        return folder::open(path, model, ModelSource::Path);
    }
    if names::is_hub_id(model) {
        if hub::cached_snapshot(model, &request.hub).is_none()
            && let Some(folder) = folder_here(model, &request.surroundings)
        {
            return Err(path_or_repository(model, &folder));
        }
        return hub::fetch(model, model, &request.hub, request.quiet);
    }
    Err(names::unknown(model))
}

/// As [`find`], for a name that is to be downloaded: `organisation/name` is a repository even where a folder
/// `organisation` is here.
///
/// # Errors
/// As [`find`].
pub fn download(request: &ModelRequest) -> Result<ModelFiles> {
    match request.model.as_deref() {
        Some(name) if names::is_hub_id(name) && !Path::new(name).exists() => {
            hub::fetch(name, name, &request.hub, request.quiet)
        }
        _ => find(request),
    }
}

/// A path that is not there.
fn missing_path(model: &str) -> Error {
    let bare = model.trim_start_matches(['.', '/']);
    let hint = if names::is_hub_id(bare) {
        format!("check the path; if the hub's repository is meant, write {bare}")
    } else if model.starts_with('~') {
        // Shells replace a leading ~, but not in --model=~/x.
        "write $HOME in place of ~, or leave a space before it: --model ~/folder".into()
    } else {
        "check the path; a short name such as `base` or a hub repository such as `openai/whisper-base` works too".into()
    };
    let why = "there is no such file or folder, and with this spelling it cannot be a repository of the hub";
    Error::new(ErrorKind::Model, format!("cannot open the model {model}"), why, hint)
}

/// The folder here that `organisation/name` begins with.
fn folder_here(model: &str, surroundings: &Surroundings) -> Option<PathBuf> {
    let (first, _) = model.split_once('/')?;
    let folder = surroundings.current_dir.as_deref()?.join(first);
    folder.is_dir().then_some(folder)
}

/// A name that may be a path or a repository, and is neither on this machine.
fn path_or_repository(model: &str, folder: &Path) -> Error {
    let (_, last) = model.split_once('/').unwrap_or((model, model));
    Error::new(
        ErrorKind::Model,
        format!("cannot open the model {model}"),
        format!("there is a folder {} with no {last} in it", folder.display()),
        format!(
            "if a path is meant, check it; if the hub's repository {model} is meant, run `transcribe models download {model}` once"
        ),
    )
}

/// The bundled model.
///
/// # Errors
/// [`ErrorKind::Model`] if none of the places of [`locate`] holds it.
pub fn bundled(surroundings: &Surroundings) -> Result<ModelFiles> {
    match surroundings.find(locate::BUNDLED) {
        Some(found) => folder::open(&found, locate::BUNDLED, ModelSource::Bundled),
        None => Err(Error::new(
            ErrorKind::Model,
            format!("cannot find the bundled model {}", locate::BUNDLED),
            "it is neither beside the program, nor here, nor in your data folder",
            format!(
                "run `transcribe models install` once in the folder that holds models/{0}, or set {1} to the folder of {0}, or name a model to download, such as --model base",
                locate::BUNDLED,
                locate::MODEL_DIR_ENV
            ),
        )),
    }
}

/// Whether the value can only mean a path.
fn is_path(model: &str) -> bool {
    let lower = model.to_ascii_lowercase();
    Path::new(model).is_absolute()
        || [".", ".."].contains(&model)
        || ["./", "../", "~"].iter().any(|start| model.starts_with(start))
        || (cfg!(windows) && model.contains('\\'))
        || lower.ends_with(".safetensors")
        || lower.ends_with(".safetensors.index.json")
        || model.ends_with('/')
}

#[cfg(test)]
mod tests;
