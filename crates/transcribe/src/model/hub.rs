//! Models of the Hugging Face hub: its cache on disk, and when to download into it (`hub_download`, with the feature
//! `hub`).
//!
//! The cache is the one that Python's `huggingface_hub` keeps (`models--org--name/{blobs,refs,snapshots}`), so a model
//! fetched by either is there for both. A model whose files are in the cache is used without any network.
//!
//! Environment, as `huggingface_hub` reads it: `HF_HUB_CACHE`, else `HF_HOME/hub`, else
//! `XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`; `HF_ENDPOINT`; `HF_TOKEN`, else the file
//! `HF_TOKEN_PATH`, else `HF_HOME/token`; `HF_HUB_OFFLINE`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::folder::{self, GENERATION_CONFIG};
#[cfg(feature = "hub")]
use super::hub_download::download;
use super::{ModelFiles, ModelSource};
use crate::{Error, ErrorKind, Result};

/// How to use the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSettings {
    /// Address of the hub, without a slash at the end.
    pub endpoint: String,
    /// The cache's folder; `None` if there is no home folder to keep it in.
    pub cache: Option<PathBuf>,
    /// Token for private and gated repositories.
    pub token: Option<String>,
    /// Use no network.
    pub offline: bool,
}

impl HubSettings {
    /// From the environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::from_variables(|name| env::var(name).ok(), env::home_dir())
    }

    /// From environment variables and the home folder.
    #[must_use]
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let hf_home = set("HF_HOME").map(PathBuf::from).or_else(|| {
            set("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| home.map(|home| home.join(".cache")))
                .map(|cache| cache.join("huggingface"))
        });
        let token_file = set("HF_TOKEN_PATH")
            .map(PathBuf::from)
            .or_else(|| hf_home.as_ref().map(|home| home.join("token")));
        let token = set("HF_TOKEN")
            .or_else(|| token_file.and_then(|file| fs::read_to_string(file).ok()))
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty());
        let yes =
            |value: String| ["1", "ON", "YES", "TRUE"].contains(&value.trim().to_ascii_uppercase().as_str());
        Self {
            endpoint: set("HF_ENDPOINT")
                .map_or("https://huggingface.co".into(), |url| url.trim_end_matches('/').to_owned()),
            cache: set("HF_HUB_CACHE").map(PathBuf::from).or_else(|| hf_home.map(|home| home.join("hub"))),
            token,
            offline: set("HF_HUB_OFFLINE").is_some_and(yes),
        }
    }
}

/// The files of repository `id`, from the cache, else downloaded into it. `name` is what the user called it.
///
/// # Errors
/// [`crate::ErrorKind::Model`]: not in the cache and offline, unreachable, unknown, or not a model that can be read.
pub fn fetch(id: &str, name: &str, hub: &HubSettings, quiet: bool) -> Result<ModelFiles> {
    let cached = cached_snapshot(id, hub).map(|folder| folder::open(&folder, name, ModelSource::Cache));
    match cached {
        Some(Ok(files)) => {
            if files.generation_config.is_some() || hub.offline || known_absent(id, hub, &files.folder) {
                return Ok(files);
            }
            // Some programs cache only the weights. The alignment heads are worth one try, but not a failure.
            Ok(download(id, name, hub, true).unwrap_or(files))
        }
        Some(Err(error)) if hub.offline => Err(incomplete(id, &error)),
        None if hub.offline => Err(not_cached(id, hub)),
        Some(Err(_)) | None => download(id, name, hub, quiet),
    }
}

/// The folder of the cached revision of a repository's main branch, complete or not.
#[must_use]
pub fn cached_snapshot(id: &str, hub: &HubSettings) -> Option<PathBuf> {
    let repository = repository_folder(hub.cache.as_deref()?, id);
    let commit = fs::read_to_string(repository.join("refs").join("main")).ok()?;
    let commit = commit.trim();
    let folder = repository.join("snapshots").join(commit);
    (is_commit(commit) && folder.is_dir()).then_some(folder)
}

/// `CACHE/models--organisation--name`.
pub(super) fn repository_folder(cache: &Path, id: &str) -> PathBuf {
    cache.join(format!("models--{}", id.replace('/', "--")))
}

/// Whether the text can be a commit; it becomes part of a path.
pub(super) fn is_commit(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Where the hub's cache notes that a revision has no such file.
pub(super) fn absence_note(id: &str, hub: &HubSettings, snapshot: &Path, file: &str) -> Option<PathBuf> {
    let commit = snapshot.file_name()?;
    Some(repository_folder(hub.cache.as_deref()?, id).join(".no_exist").join(commit).join(file))
}

/// Whether the cache knows that the revision has no `generation_config.json`.
fn known_absent(id: &str, hub: &HubSettings, snapshot: &Path) -> bool {
    absence_note(id, hub, snapshot, GENERATION_CONFIG).is_some_and(|note| note.exists())
}

/// What a build without the feature `hub` has in place of the download.
#[cfg(not(feature = "hub"))]
fn download(id: &str, _: &str, hub: &HubSettings, _: bool) -> Result<ModelFiles> {
    Err(not_in_this_build(id, hub))
}

/// The way out that is always there.
pub(super) const INSTEAD: &str = "without --model the bundled model needs no network";

/// Offline, and nothing of the model is in the cache.
fn not_cached(id: &str, hub: &HubSettings) -> Error {
    Error::new(
        ErrorKind::Model,
        format!("cannot get the model {id}"),
        format!(
            "it is not in the cache {}, and downloads are off (--offline or HF_HUB_OFFLINE)",
            shown_cache(hub)
        ),
        format!("run once without --offline, or `transcribe models` lists what is here; {INSTEAD}"),
    )
}

/// Offline, and the cache lacks a part.
fn incomplete(id: &str, error: &Error) -> Error {
    Error::new(
        ErrorKind::Model,
        format!("cannot use the cached model {id}"),
        format!("{}, and downloads are off (--offline or HF_HUB_OFFLINE)", error.why()),
        format!("run once without --offline to complete it; {INSTEAD}"),
    )
}

/// Nothing in this program can download.
#[cfg(not(feature = "hub"))]
fn not_in_this_build(id: &str, hub: &HubSettings) -> Error {
    Error::new(
        ErrorKind::Model,
        format!("cannot get the model {id}"),
        format!(
            "it is not whole in the cache {}, and this program was built without downloads (feature `hub`)",
            shown_cache(hub)
        ),
        format!(
            "build it with the feature `hub`, or fetch the model by other means and give --model its folder; {INSTEAD}"
        ),
    )
}

fn shown_cache(hub: &HubSettings) -> String {
    hub.cache.as_ref().map_or("(no folder)".into(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::folder::{CONFIG, TOKENIZER, WEIGHTS};
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        HubSettings::from_variables(
            |name| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()),
            Some("/home/me".into()),
        )
    }

    #[test]
    fn the_environment_is_read_as_the_hub_reads_it() {
        let plain = settings(&[]);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache, Some("/home/me/.cache/huggingface/hub".into()));
        assert_eq!((plain.token, plain.offline), (None, false));
        let cache = |variables: &[(&str, &str)]| settings(variables).cache.unwrap();
        assert_eq!(cache(&[("HF_HOME", "/h")]), Path::new("/h/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")]), Path::new("/c"));
        assert_eq!(settings(&[("HF_ENDPOINT", "http://mirror/")]).endpoint, "http://mirror");
        assert_eq!(settings(&[("HF_TOKEN", " t\n")]).token, Some("t".into()));
        for (value, want) in
            [("1", true), ("true", true), ("ON", true), ("0", false), ("", false), ("no", false)]
        {
            assert_eq!(settings(&[("HF_HUB_OFFLINE", value)]).offline, want, "{value}");
        }
    }

    #[test]
    fn the_token_can_stand_in_a_file() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("token"), "secret\n").unwrap();
        let path = home.path().to_str().unwrap();
        assert_eq!(settings(&[("HF_HOME", path)]).token, Some("secret".into()));
        let file = home.path().join("token");
        assert_eq!(settings(&[("HF_TOKEN_PATH", file.to_str().unwrap())]).token, Some("secret".into()));
        assert_eq!(settings(&[("HF_HOME", path), ("HF_TOKEN", "t")]).token, Some("t".into()));
    }

    #[test]
    fn a_cached_model_needs_no_network() {
        let cache = tempfile::tempdir().unwrap();
        let snapshot = cache.path().join("models--a--b/snapshots/c0ffee");
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(cache.path().join("models--a--b/refs")).unwrap();
        for file in [CONFIG, TOKENIZER, WEIGHTS, GENERATION_CONFIG] {
            fs::write(snapshot.join(file), "{}").unwrap();
        }
        // Nothing listens here: a request would fail at once.
        let hub = HubSettings {
            endpoint: "http://127.0.0.1:1".into(),
            cache: Some(cache.path().into()),
            token: None,
            offline: false,
        };
        assert_eq!(cached_snapshot("a/b", &hub), None);
        fs::write(cache.path().join("models--a--b/refs/main"), "c0ffee\n").unwrap();
        let files = fetch("a/b", "a/b", &hub, true).unwrap();
        assert_eq!((files.source, files.folder), (ModelSource::Cache, snapshot.clone()));
        fs::remove_file(snapshot.join(TOKENIZER)).unwrap();
        let offline = HubSettings { offline: true, ..hub.clone() };
        let error = fetch("a/b", "a/b", &offline, true).unwrap_err();
        assert!(error.why().contains(TOKENIZER), "{error}");
        fs::write(cache.path().join("models--a--b/refs/main"), "../../..").unwrap();
        assert_eq!(cached_snapshot("a/b", &hub), None);
    }

    #[test]
    #[cfg(not(feature = "hub"))]
    fn a_build_without_downloads_says_so() {
        let cache = tempfile::tempdir().unwrap();
        let hub = HubSettings {
            endpoint: "http://127.0.0.1:1".into(),
            cache: Some(cache.path().into()),
            token: None,
            offline: false,
        };
        let error = fetch("a/b", "a/b", &hub, true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.why().contains("built without downloads"), "{error}");
        assert!(error.hint().contains("feature `hub`"), "{error}");
    }
}
