//! Which models are on this machine: bundled or installed ones, and those in the hub's cache.

use std::fs;
use std::path::{Path, PathBuf};

use super::{HubSettings, ModelSource, Surroundings, folder, hub, locate, names};

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What to give `--model`.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Bundled (or installed) or cached.
    pub source: ModelSource,
    /// Whether it can be used as it is; a cached one may lack files.
    pub complete: bool,
}

/// Bundled and installed models in the order of the search, then cached Whispers by name.
#[must_use]
pub fn list(surroundings: &Surroundings, hub: &HubSettings) -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    let mut add = |path: PathBuf, name: String| {
        if locate::holds_model(&path) && !listed.iter().any(|other| other.path == path) {
            let complete = folder::open(&path, &name, ModelSource::Bundled).is_ok();
            listed.push(Listed { name, bytes: size(&path), path, source: ModelSource::Bundled, complete });
        }
    };
    for path in surroundings.candidates(locate::BUNDLED) {
        add(path, locate::BUNDLED.into());
    }
    for shelf in surroundings.shelves() {
        for path in folders(&shelf) {
            if let Some(name) = path.file_name().and_then(|name| name.to_str()).map(String::from) {
                add(path, name);
            }
        }
    }
    listed.extend(cached(hub));
    listed
}

/// Whispers in the hub's cache, by name.
fn cached(hub: &HubSettings) -> Vec<Listed> {
    let Some(cache) = &hub.cache else { return Vec::new() };
    folders(cache)
        .into_iter()
        .filter_map(|repository| {
            let id = repository.file_name()?.to_str()?.strip_prefix("models--")?.replacen("--", "/", 1);
            let path = hub::cached_snapshot(&id, hub)?;
            let config = fs::read(path.join(folder::CONFIG)).ok()?;
            if whisper_encoder::Config::from_json(&config).is_err() {
                return None;
            }
            let complete = folder::open(&path, &id, ModelSource::Cache).is_ok();
            let name = names::SHORT_NAMES
                .iter()
                .find(|(_, known)| *known == id)
                .map_or_else(|| id.clone(), |(short, _)| (*short).to_owned());
            Some(Listed { name, bytes: size(&path), path, source: ModelSource::Cache, complete })
        })
        .collect()
}

/// Folders directly in `parent`, by name.
fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Bytes of the files directly in a folder, links followed.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::metadata(entry.path()).ok())
        .filter(|data| data.is_file())
        .map(|data| data.len())
        .sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TINY: &str = r#"{"model_type":"whisper","num_mel_bins":80,"max_source_positions":1500,"d_model":64,
        "encoder_attention_heads":1,"encoder_layers":1,"encoder_ffn_dim":8,"vocab_size":51865,
        "max_target_positions":448,"decoder_attention_heads":1,"decoder_layers":1,"decoder_ffn_dim":8}"#;

    fn model(folder: &Path, config: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("config.json"), config).unwrap();
        fs::write(folder.join("tokenizer.json"), "{}").unwrap();
        fs::write(folder.join("model.safetensors"), "1234567").unwrap();
    }

    fn cache(root: &Path, id: &str, config: &str) -> PathBuf {
        let repository = root.join(format!("models--{}", id.replace('/', "--")));
        let snapshot = repository.join("snapshots/abc");
        model(&snapshot, config);
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::write(repository.join("refs/main"), "abc").unwrap();
        snapshot
    }

    #[test]
    fn bundled_installed_and_cached_are_listed() {
        let root = tempfile::tempdir().unwrap();
        let (data, hub) = (root.path().join("data"), root.path().join("hub"));
        model(&data.join(locate::BUNDLED), TINY);
        model(&data.join("my-model"), TINY);
        fs::create_dir_all(data.join("not-a-model")).unwrap();
        cache(&hub, "openai/whisper-tiny", TINY);
        let damaged = cache(&hub, "me/mine", TINY);
        fs::remove_file(damaged.join("tokenizer.json")).unwrap();
        cache(&hub, "some/bert", r#"{"model_type":"bert"}"#);
        let surroundings = Surroundings { data_dir: Some(data), ..Surroundings::default() };
        let hub = HubSettings { endpoint: String::new(), cache: Some(hub), token: None, offline: true };
        let got: Vec<(String, bool)> =
            list(&surroundings, &hub).into_iter().map(|model| (model.name, model.complete)).collect();
        let want = [("whisper-base-int8", true), ("my-model", true), ("me/mine", false), ("tiny", true)];
        assert_eq!(got, want.map(|(name, complete)| (name.to_owned(), complete)));
        let bytes = list(&surroundings, &hub)[0].bytes;
        assert_eq!(bytes, TINY.len() as u64 + 2 + 7);
    }
}
