//! Copies the bundled model to where an installed program finds it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ModelFiles, Surroundings, bundled, locate};
use crate::{Error, ErrorKind, Result};

/// What [`install`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// Copied to this folder.
    Copied(PathBuf),
    /// It was there already.
    Already(PathBuf),
}

/// Copies the bundled model into `to/whisper-base-int8`; without `to`, into the user's data folder.
///
/// # Errors
/// [`ErrorKind::Model`] if there is no bundled model to copy, [`ErrorKind::Output`] if it cannot be written.
pub fn install(surroundings: &Surroundings, to: Option<&Path>) -> Result<Installed> {
    let shelf = to.map(Path::to_path_buf).or_else(|| surroundings.data_dir.clone()).ok_or_else(|| {
        Error::new(
            ErrorKind::Output,
            "cannot install the model",
            "there is no home folder",
            "name a folder with --to",
        )
    })?;
    let target = shelf.join(locate::BUNDLED);
    if locate::holds_model(&target) {
        return Ok(Installed::Already(target));
    }
    let files = bundled(surroundings)?;
    copy(&files, &shelf, &target).map_err(|error| {
        Error::new(
            ErrorKind::Output,
            format!("cannot install the model into {}", target.display()),
            error.to_string(),
            "make room there, or name another folder with --to",
        )
        .with_source(error)
    })?;
    Ok(Installed::Copied(target))
}

/// Copies into a temporary folder beside the target and renames it: the target appears whole or not at all.
fn copy(files: &ModelFiles, shelf: &Path, target: &Path) -> std::io::Result<()> {
    fs::create_dir_all(shelf)?;
    let draft = tempfile::Builder::new().prefix(".installing-").tempdir_in(shelf)?;
    for entry in fs::read_dir(&files.folder)? {
        let path = entry?.path();
        if let Some(name) = path.file_name()
            && path.is_file()
        {
            fs::copy(&path, draft.path().join(name))?;
        }
    }
    if target.exists() {
        // A folder without a whole model (checked above), from an interrupted copy by hand.
        fs::remove_dir_all(target)?;
    }
    readable(draft.path())?;
    fs::rename(draft.keep(), target)
}

/// Temporary folders are made for their owner alone; a shared `--to` folder must be readable by all.
#[cfg(unix)]
fn readable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn readable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_bundled_model_is_copied_once() {
        let root = tempfile::tempdir().unwrap();
        let from = root.path().join("models").join(locate::BUNDLED);
        fs::create_dir_all(&from).unwrap();
        for name in ["config.json", "tokenizer.json", "model.safetensors", "generation_config.json"] {
            fs::write(from.join(name), name).unwrap();
        }
        let data = root.path().join("data");
        let surroundings = Surroundings {
            current_dir: Some(root.path().into()),
            data_dir: Some(data.clone()),
            ..Surroundings::default()
        };
        let target = data.join(locate::BUNDLED);
        assert_eq!(install(&surroundings, None).unwrap(), Installed::Copied(target.clone()));
        let weights = fs::read_to_string(target.join("model.safetensors")).unwrap();
        assert_eq!(weights, "model.safetensors");
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing temporary may stay");
        assert_eq!(install(&surroundings, None).unwrap(), Installed::Already(target));
        let elsewhere = Surroundings { current_dir: None, ..surroundings };
        assert!(elsewhere.find(locate::BUNDLED).is_some());
        let other = root.path().join("other");
        let want = Installed::Copied(other.join(locate::BUNDLED));
        assert_eq!(install(&elsewhere, Some(&other)).unwrap(), want);
    }

    #[test]
    fn nothing_to_copy_is_a_model_error() {
        let root = tempfile::tempdir().unwrap();
        let error = install(&Surroundings::default(), Some(root.path())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert_eq!(install(&Surroundings::default(), None).unwrap_err().kind(), ErrorKind::Output);
    }
}
