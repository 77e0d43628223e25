//! Where models on this machine are looked for: a pure search order over a description of the surroundings.
//!
//! A model called `name` (the bundled one is [`BUNDLED`]) is the first of these folders that holds a model:
//!
//! 1. `--model-dir`, else `$TRANSCRIBE_MODEL_DIR`: `DIR/name`, then `DIR` itself (for the bundled model only);
//! 2. beside the executable: `EXE_DIR/models/name`, then `EXE_DIR/../share/transcribe/models/name`, then
//!    `models/name` in every folder above (so a build in `target/release` finds the repository's `models`);
//! 3. `models/name` in the current folder and in every folder above it;
//! 4. the user's data folder: `transcribe/models/name` in `$XDG_DATA_HOME`, else in `~/.local/share`
//!    (Windows: `%LOCALAPPDATA%`). `transcribe models install` copies the bundled model there.

use std::env;
use std::path::{Path, PathBuf};

/// Folder name of the model that comes with the program: whisper-base, weights in int8.
pub const BUNDLED: &str = "whisper-base-int8";

/// Environment variable for [`Surroundings::model_dir`].
pub const MODEL_DIR_ENV: &str = "TRANSCRIBE_MODEL_DIR";

/// What the search depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `--model-dir` or `$TRANSCRIBE_MODEL_DIR`.
    pub model_dir: Option<PathBuf>,
    /// Folder of the executable, links resolved.
    pub exe_dir: Option<PathBuf>,
    /// Current folder.
    pub current_dir: Option<PathBuf>,
    /// The user's data folder for models.
    pub data_dir: Option<PathBuf>,
}

impl Surroundings {
    /// Of this process; `model_dir` wins over the environment.
    #[must_use]
    pub fn of_process(model_dir: Option<PathBuf>) -> Self {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let exe = env::current_exe().ok().map(|exe| exe.canonicalize().unwrap_or(exe));
        Self {
            model_dir: model_dir.or_else(|| variable(MODEL_DIR_ENV)),
            exe_dir: exe.and_then(|exe| exe.parent().map(Path::to_path_buf)),
            current_dir: env::current_dir().ok(),
            data_dir: data_dir(variable, env::home_dir(), cfg!(windows)),
        }
    }

    /// Folders where a model called `name` may be, in the order of the search, each once.
    #[must_use]
    pub fn candidates(&self, name: &str) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        if let Some(dir) = &self.model_dir {
            folders.push(dir.join(name));
            if name == BUNDLED {
                folders.push(dir.clone());
            }
        }
        if let Some(exe) = &self.exe_dir {
            folders.push(exe.join("models").join(name));
            if let Some(prefix) = exe.parent() {
                folders.push(prefix.join("share/transcribe/models").join(name));
            }
            folders.extend(exe.ancestors().skip(1).map(|dir| dir.join("models").join(name)));
        }
        if let Some(current) = &self.current_dir {
            folders.extend(current.ancestors().map(|dir| dir.join("models").join(name)));
        }
        if let Some(data) = &self.data_dir {
            folders.push(data.join(name));
        }
        let mut seen = std::collections::HashSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        folders
    }

    /// The first candidate that holds a model.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        self.candidates(name).into_iter().find(|folder| holds_model(folder))
    }

    /// Folders that may hold several models, in the order of the search, each once.
    #[must_use]
    pub fn shelves(&self) -> Vec<PathBuf> {
        let mut shelves: Vec<PathBuf> = self
            .candidates(BUNDLED)
            .iter()
            .filter(|folder| folder.ends_with(BUNDLED))
            .filter_map(|folder| folder.parent().map(Path::to_path_buf))
            .collect();
        shelves.dedup();
        shelves
    }
}

/// Whether a folder looks like a model in the hub's layout: a configuration and weights.
#[must_use]
pub fn holds_model(folder: &Path) -> bool {
    folder.join("config.json").is_file()
        && ["model.safetensors", "model.safetensors.index.json"]
            .iter()
            .any(|name| folder.join(name).is_file())
}

/// The folder for installed models from environment variables, the home folder and the kind of system.
fn data_dir(
    variable: impl Fn(&str) -> Option<PathBuf>,
    home: Option<PathBuf>,
    windows: bool,
) -> Option<PathBuf> {
    let base = if windows {
        variable("LOCALAPPDATA").or_else(|| home.map(|home| home.join("AppData").join("Local")))
    } else {
        // The XDG base directory specification: a relative path in XDG_DATA_HOME is to be ignored.
        variable("XDG_DATA_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| home.map(|home| home.join(".local").join("share")))
    };
    base.map(|base| base.join("transcribe").join("models"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn model_at(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("config.json"), "{}").unwrap();
        fs::write(folder.join("model.safetensors"), "").unwrap();
    }

    fn around(root: &Path) -> Surroundings {
        Surroundings {
            model_dir: Some(root.join("flag")),
            exe_dir: Some(root.join("repo/target/release")),
            current_dir: Some(root.join("work/today")),
            data_dir: Some(root.join("data")),
        }
    }

    #[test]
    fn the_order_is_the_documented_one() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        // From the last place to the first: each newly made one must win over all made before.
        let places = [
            "data/whisper-base-int8",
            "work/models/whisper-base-int8",
            "work/today/models/whisper-base-int8",
            "repo/models/whisper-base-int8",
            "repo/target/share/transcribe/models/whisper-base-int8",
            "repo/target/release/models/whisper-base-int8",
            "flag",
            "flag/whisper-base-int8",
        ];
        let around = around(root);
        assert_eq!(around.find(BUNDLED), None);
        for place in places {
            model_at(&root.join(place));
            assert_eq!(around.find(BUNDLED), Some(root.join(place)));
        }
    }

    #[test]
    fn model_dir_itself_is_only_the_bundled_model() {
        let root = tempfile::tempdir().unwrap();
        model_at(&root.path().join("flag"));
        assert!(around(root.path()).find(BUNDLED).is_some());
        assert_eq!(around(root.path()).find("other"), None);
    }

    #[test]
    fn folders_without_weights_are_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let empty = root.path().join("work/models").join(BUNDLED);
        fs::create_dir_all(&empty).unwrap();
        fs::write(empty.join("config.json"), "{}").unwrap();
        model_at(&root.path().join("data").join(BUNDLED));
        assert_eq!(around(root.path()).find(BUNDLED), Some(root.path().join("data").join(BUNDLED)));
    }

    #[test]
    fn no_place_is_listed_twice() {
        let same = Path::new("/a/b").to_path_buf();
        let around =
            Surroundings { exe_dir: Some(same.clone()), current_dir: Some(same), ..Surroundings::default() };
        let all = around.candidates("m");
        let want = ["/a/b/models/m", "/a/share/transcribe/models/m", "/a/models/m", "/models/m"];
        assert_eq!(all, want.map(PathBuf::from));
        assert_eq!(Surroundings::default().candidates("m"), Vec::<PathBuf>::new());
    }

    #[test]
    fn data_folder_follows_xdg_and_windows() {
        let variables = |name: &str| match name {
            "XDG_DATA_HOME" => Some(PathBuf::from("/xdg")),
            "LOCALAPPDATA" => Some(PathBuf::from("/local")),
            _ => None,
        };
        let none = |_: &str| None;
        let home = || Some(PathBuf::from("/home/me"));
        let tail = |base: &str| Some(Path::new(base).join("transcribe").join("models"));
        assert_eq!(data_dir(variables, home(), false), tail("/xdg"));
        assert_eq!(data_dir(none, home(), false), tail("/home/me/.local/share"));
        assert_eq!(data_dir(variables, home(), true), tail("/local"));
        assert_eq!(data_dir(none, home(), true), tail("/home/me/AppData/Local"));
        assert_eq!(data_dir(none, None, false), None);
        let relative = |name: &str| (name == "XDG_DATA_HOME").then(|| PathBuf::from("rel"));
        assert_eq!(data_dir(relative, home(), false), tail("/home/me/.local/share"));
    }
}
