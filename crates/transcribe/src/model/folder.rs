//! A model in the hub's layout on disk: which files it consists of.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{ModelFiles, ModelSource, names};
use crate::{Error, ErrorKind, Result};

/// Dimensions of the model.
pub const CONFIG: &str = "config.json";
/// The vocabulary.
pub const TOKENIZER: &str = "tokenizer.json";
/// Alignment heads and suppressed tokens.
pub const GENERATION_CONFIG: &str = "generation_config.json";
/// Settings of the mel front end.
pub const PREPROCESSOR_CONFIG: &str = "preprocessor_config.json";
/// The weights in one file.
pub const WEIGHTS: &str = "model.safetensors";
/// Names the files of weights that are in several.
pub const INDEX: &str = "model.safetensors.index.json";

/// What to do when a repository has no `tokenizer.json`.
pub const TOKENIZER_HINT: &str = "copy tokenizer.json from the OpenAI model that it was made from (for example openai/whisper-base) into its folder";

/// The files of the model at `path`: a folder in the hub's layout, or its file of weights.
///
/// # Errors
/// [`ErrorKind::Model`] naming the file that is missing.
pub fn open(path: &Path, name: &str, source: ModelSource) -> Result<ModelFiles> {
    if path.is_file() {
        let text = path.to_string_lossy();
        names::check_format(&text)?;
        if text.ends_with(".index.json") {
            return parts(parent(path), None, Some(path), name, source);
        }
        if !text.ends_with(".safetensors") {
            return Err(Error::new(
                ErrorKind::Model,
                format!("cannot use {text} as a model"),
                "it is no file of weights (.safetensors)",
                "give a model's folder, its .safetensors file or a name that `transcribe models` lists",
            ));
        }
        return parts(parent(path), Some(path), None, name, source);
    }
    let (weights, index) = (path.join(WEIGHTS), path.join(INDEX));
    if weights.is_file() {
        parts(path, Some(&weights), None, name, source)
    } else if index.is_file() {
        parts(path, None, Some(&index), name, source)
    } else {
        Err(lacks(path, WEIGHTS, &other_weights(path)))
    }
}

/// Shards that an index names, in order, each once.
///
/// # Errors
/// [`ErrorKind::Model`] if it cannot be read, is no index, or names a file outside its folder.
pub fn shards(index: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::HashMap<String, String>,
    }
    let broken = |why: String| {
        Error::new(
            ErrorKind::Model,
            format!("cannot read {}", index.display()),
            why,
            "download the model again, or give another --model",
        )
    };
    let text = fs::read(index).map_err(|error| broken(error.to_string()))?;
    let parsed: Index = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
    let files: BTreeSet<String> = parsed.weight_map.into_values().collect();
    let plain = |file: &String| {
        let mut parts = Path::new(file).components();
        matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
    };
    if let Some(file) = files.iter().find(|file| !plain(file)) {
        return Err(broken(format!("it names `{file}`, which is not a file beside it")));
    }
    if files.is_empty() {
        return Err(broken("it names no files".into()));
    }
    Ok(files.into_iter().collect())
}

fn parts(
    folder: &Path,
    weights: Option<&Path>,
    index: Option<&Path>,
    name: &str,
    source: ModelSource,
) -> Result<ModelFiles> {
    let required = |file: &str, hint: &str| {
        let path = folder.join(file);
        if path.is_file() { Ok(path) } else { Err(lacks(folder, file, hint)) }
    };
    let optional = |file: &str| Some(folder.join(file)).filter(|path| path.is_file());
    let weights = match (weights, index) {
        (Some(file), _) => vec![file.to_path_buf()],
        (None, Some(index)) => shards(index)?
            .iter()
            .map(|shard| required(shard, "download the model again: the index names this file"))
            .collect::<Result<_>>()?,
        (None, None) => return Err(lacks(folder, WEIGHTS, &other_weights(folder))),
    };
    Ok(ModelFiles {
        name: name.to_owned(),
        source,
        config: required(CONFIG, "give a folder in the hub's layout")?,
        tokenizer: required(TOKENIZER, TOKENIZER_HINT)?,
        generation_config: optional(GENERATION_CONFIG),
        preprocessor_config: optional(PREPROCESSOR_CONFIG),
        weights,
        folder: folder.to_path_buf(),
    })
}

/// Folder of a file; `.` for a bare name.
fn parent(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn lacks(folder: &Path, file: &str, hint: &str) -> Error {
    Error::new(
        ErrorKind::Model,
        format!("cannot use the model in {}", folder.display()),
        format!("the folder has no {file}"),
        hint,
    )
}

/// The hint for a folder without safetensors: says which other weights it has.
fn other_weights(folder: &Path) -> String {
    let mut others: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| names::check_format(&path.to_string_lossy()).is_err())
        .collect();
    others.sort();
    match others.first().and_then(|path| path.file_name()) {
        Some(file) => format!(
            "it has {}, which is not read: use the model's safetensors, or convert it",
            file.to_string_lossy()
        ),
        None => "give a folder with config.json, tokenizer.json and model.safetensors".into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn open_at(path: &Path) -> Result<ModelFiles> {
        open(path, "m", ModelSource::Path)
    }

    #[test]
    fn one_file_of_weights() {
        let dir = folder(&[(CONFIG, "{}"), (TOKENIZER, "{}"), (WEIGHTS, "")]);
        let files = open_at(dir.path()).unwrap();
        assert_eq!(files.weights, [dir.path().join(WEIGHTS)]);
        assert_eq!((files.generation_config, files.preprocessor_config), (None, None));
        let by_file = open_at(&dir.path().join(WEIGHTS)).unwrap();
        assert_eq!((by_file.folder, by_file.weights), (files.folder, files.weights));
    }

    #[test]
    fn shards_come_in_order_and_must_be_there() {
        let index = r#"{"metadata":{},"weight_map":{"a":"two.safetensors","b":"one.safetensors","c":"two.safetensors"}}"#;
        let dir = folder(&[
            (CONFIG, "{}"),
            (TOKENIZER, "{}"),
            (GENERATION_CONFIG, "{}"),
            (INDEX, index),
            ("one.safetensors", ""),
        ]);
        let error = open_at(dir.path()).unwrap_err();
        assert!(error.why().contains("two.safetensors"), "{error}");
        fs::write(dir.path().join("two.safetensors"), "").unwrap();
        let files = open_at(dir.path()).unwrap();
        assert_eq!(files.weights, ["one.safetensors", "two.safetensors"].map(|name| dir.path().join(name)));
        assert_eq!(files.generation_config, Some(dir.path().join(GENERATION_CONFIG)));
        assert_eq!(open_at(&dir.path().join(INDEX)).unwrap().weights, files.weights);
    }

    #[test]
    fn an_index_may_not_lead_outside_its_folder() {
        for bad in ["../x", "/etc/passwd", "a/b", ""] {
            let dir = folder(&[(INDEX, &format!(r#"{{"weight_map":{{"a":"{bad}"}}}}"#))]);
            assert!(shards(&dir.path().join(INDEX)).is_err(), "{bad}");
        }
        for broken in ["", "[]", r#"{"weight_map":{}}"#, r#"{"weight_map":3}"#] {
            let dir = folder(&[(INDEX, broken)]);
            assert_eq!(shards(&dir.path().join(INDEX)).unwrap_err().kind(), ErrorKind::Model, "{broken}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let all = [(CONFIG, "{}"), (TOKENIZER, "{}"), (WEIGHTS, "")];
        for (left_out, _) in all {
            let dir = folder(&all.into_iter().filter(|(name, _)| *name != left_out).collect::<Vec<_>>());
            let error = open_at(dir.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Model);
            assert!(error.why().contains(left_out), "{error}");
        }
        let dir = folder(&[(CONFIG, "{}"), (TOKENIZER, "{}"), ("pytorch_model.bin", "")]);
        assert!(open_at(dir.path()).unwrap_err().hint().contains("pytorch_model.bin"));
    }
}
