//! Models of the Hugging Face hub: its cache on disk, and downloads into it.
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

use hf_hub::api::sync::{Api, ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo};

use super::folder::{self, CONFIG, GENERATION_CONFIG, INDEX, PREPROCESSOR_CONFIG, TOKENIZER, WEIGHTS};
use super::hub_errors::{Trouble, incomplete, not_cached, not_whisper};
use super::hub_progress::Watch;
use super::{ModelFiles, ModelSource};
use crate::Result;

/// Tries again after a broken connection; each goes on where the last stopped.
const RETRIES: usize = 3;

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
fn repository_folder(cache: &Path, id: &str) -> PathBuf {
    cache.join(Repo::model(id.to_owned()).folder_name())
}

/// Whether the text can be a commit; it becomes part of a path.
fn is_commit(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Where the hub's cache notes that a revision has no such file.
fn absence_note(id: &str, hub: &HubSettings, snapshot: &Path, file: &str) -> Option<PathBuf> {
    let commit = snapshot.file_name()?;
    Some(repository_folder(hub.cache.as_deref()?, id).join(".no_exist").join(commit).join(file))
}

/// Whether the cache knows that the revision has no `generation_config.json`.
fn known_absent(id: &str, hub: &HubSettings, snapshot: &Path) -> bool {
    absence_note(id, hub, snapshot, GENERATION_CONFIG).is_some_and(|note| note.exists())
}

fn download(id: &str, name: &str, hub: &HubSettings, quiet: bool) -> Result<ModelFiles> {
    let trouble = Trouble { id, hub };
    let cache = hub.cache.clone().ok_or_else(|| trouble.no_cache())?;
    let api = connect(hub, &cache).map_err(|error| trouble.api(&error, None))?;
    let repository = api.model(id.to_owned());
    let info = repository.info().map_err(|error| trouble.api(&error, None))?;
    if !is_commit(&info.sha) {
        return Err(trouble.not_a_hub("it names no commit"));
    }
    let has = |file: &str| info.siblings.iter().any(|sibling| sibling.rfilename == file);
    let snapshot = repository_folder(&cache, id).join("snapshots").join(&info.sha);
    for file in [CONFIG, TOKENIZER] {
        if !has(file) {
            let files: Vec<&str> = info.siblings.iter().map(|sibling| sibling.rfilename.as_str()).collect();
            return Err(trouble.missing(file, &files));
        }
    }
    let get = |file: &str| get(&repository, &snapshot, file, quiet, &trouble);
    let config = get(CONFIG)?;
    // Before the large files: a repository of another kind of model is found out by its small one.
    if let Ok(text) = fs::read(&config)
        && let Err(reason) = whisper_encoder::Config::from_json(&text)
    {
        return Err(not_whisper(id, &reason));
    }
    get(TOKENIZER)?;
    for file in [GENERATION_CONFIG, PREPROCESSOR_CONFIG] {
        if has(file) {
            get(file)?;
        } else if let Some(note) = absence_note(id, hub, &snapshot, file) {
            // Only saves a question to the hub next time: a failure to write it does no harm.
            let _ = note.parent().map(fs::create_dir_all).and_then(|_| fs::write(note, "").ok());
        }
    }
    if has(WEIGHTS) {
        get(WEIGHTS)?;
    } else if has(INDEX) {
        for shard in folder::shards(&get(INDEX)?)? {
            get(&shard)?;
        }
    } else {
        let files: Vec<&str> = info.siblings.iter().map(|sibling| sibling.rfilename.as_str()).collect();
        return Err(trouble.missing(WEIGHTS, &files));
    }
    if cached_snapshot(id, hub).as_ref() != Some(&snapshot) {
        let branch = Cache::new(cache).model(id.to_owned());
        branch.create_ref(&info.sha).map_err(|error| trouble.write(&error))?;
    }
    folder::open(&snapshot, name, ModelSource::Downloaded)
}

fn connect(hub: &HubSettings, cache: &Path) -> std::result::Result<Api, hf_hub::api::sync::ApiError> {
    ApiBuilder::from_cache(Cache::new(cache.to_path_buf()))
        .with_endpoint(hub.endpoint.clone())
        .with_token(hub.token.clone())
        .with_progress(false)
        .with_retries(RETRIES)
        .with_user_agent("transcribe", env!("CARGO_PKG_VERSION"))
        .build()
}

/// One file of the snapshot, downloaded unless it is there. A file appears in the snapshot only when it is whole.
fn get(
    repository: &ApiRepo,
    snapshot: &Path,
    file: &str,
    quiet: bool,
    trouble: &Trouble<'_>,
) -> Result<PathBuf> {
    let path = snapshot.join(file);
    if path.is_file() {
        return Ok(path);
    }
    let watch = Watch::new(trouble.id, quiet);
    let size = watch.size();
    let got =
        repository.download_with_progress(file, watch).map_err(|error| trouble.api(&error, Some(file)))?;
    // A server that ignores the request to go on in the middle would leave a file of the wrong length.
    let length = fs::metadata(&got).map(|data| data.len()).unwrap_or(0);
    let want = size.load(std::sync::atomic::Ordering::Relaxed);
    if length != want {
        let blob = got.canonicalize();
        let _ = fs::remove_file(&got);
        let _ = blob.map(fs::remove_file);
        return Err(trouble.wrong_length(file, length, want));
    }
    if path.is_file() { Ok(path) } else { Err(trouble.changed(file)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
}
