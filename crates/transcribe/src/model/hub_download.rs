//! Downloads from the Hugging Face hub into its cache.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::Cache;
use hf_hub::api::sync::{Api, ApiBuilder, ApiRepo};

use super::folder::{self, CONFIG, GENERATION_CONFIG, INDEX, PREPROCESSOR_CONFIG, TOKENIZER, WEIGHTS};
use super::hub::{HubSettings, absence_note, cached_snapshot, is_commit, repository_folder};
use super::hub_errors::{Trouble, not_whisper};
use super::hub_progress::Watch;
use super::{ModelFiles, ModelSource};
use crate::Result;

/// Tries again after a broken connection; each goes on where the last stopped.
const RETRIES: usize = 3;

/// Downloads what the cache lacks of repository `id`; `name` is what the user called it.
///
/// # Errors
/// [`crate::ErrorKind::Model`]: unreachable, unknown, or not a model that can be read.
pub(super) fn download(id: &str, name: &str, hub: &HubSettings, quiet: bool) -> Result<ModelFiles> {
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
