//! The folder of compiled kernels. What lies there is run, so nobody else may write there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::toolchain::unavailable;
use crate::Result;

/// A folder that belongs to this user, where nobody else may write.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The user's own: below `XDG_CACHE_HOME`, `~/.cache`, or the local application data of Windows. Never below a folder
    /// of temporary files, where others may have made it first.
    ///
    /// # Errors
    /// As [`Self::at`], and if there is no such place.
    pub(crate) fn of_user() -> Result<Self> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = variable("XDG_CACHE_HOME")
            .or_else(|| variable("LOCALAPPDATA"))
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))
            .ok_or_else(|| {
                unavailable(
                    "there is no folder to keep compiled kernels in".into(),
                    "set HOME, or XDG_CACHE_HOME to a folder of yours",
                )
            })?;
        // Both, so that nobody can put another folder in the place of the inner one.
        Self::at(base.join("npu-backend"))?;
        Self::at(base.join("npu-backend").join("kernels"))
    }

    /// `folder`, made if it is not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable) if it cannot be made, or others may write there.
    pub(crate) fn at(folder: PathBuf) -> Result<Self> {
        let refused = |why: String| {
            unavailable(
                format!("compiled kernels cannot be kept in {}: {why}", folder.display()),
                "make that folder yours alone (`chmod 700`), remove it, or set XDG_CACHE_HOME to another place",
            )
        };
        make_private(&folder).map_err(|error| refused(error.to_string()))?;
        match whose(&folder) {
            Ok(None) => Ok(Self { folder }),
            Ok(Some(why)) => Err(refused(why.into())),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A new folder in it, gone when dropped: on the same file system, so that what is made there can be renamed into
    /// place at once.
    pub(crate) fn workshop(&self) -> io::Result<Workshop> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Another machine may share the folder, so the process number is not enough; whoever is second gets an error.
        let name = format!("build-{}-{}-{number}", std::process::id(), now.as_nanos());
        let folder = self.folder.join(name);
        fs::create_dir(&folder)?;
        Ok(Workshop { folder })
    }
}

/// A folder that is removed when dropped.
pub(crate) struct Workshop {
    folder: PathBuf,
}

impl Workshop {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // Nothing depends on it: what is left behind is only in the way.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Why others could write into `folder`; `None` if they cannot.
#[cfg(unix)]
fn whose(folder: &Path) -> io::Result<Option<&'static str>> {
    use std::os::unix::fs::MetadataExt;
    // The owner of a file just made is this process's user.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let probe = folder.join(format!("owner-{}-{number}", std::process::id()));
    let me = fs::File::create(&probe).and_then(|file| file.metadata()).map(|metadata| metadata.uid());
    fs::remove_file(&probe)?;
    let metadata = fs::symlink_metadata(folder)?;
    Ok(match metadata {
        _ if !metadata.is_dir() => Some("it is not a folder itself"),
        _ if metadata.uid() != me? => Some("it belongs to another user"),
        // To read it does no harm.
        _ if metadata.mode() & 0o022 != 0 => Some("other users may write there"),
        _ => None,
    })
}

/// On other systems a user's folders are private by inheritance.
#[cfg(not(unix))]
fn whose(_folder: &Path) -> io::Result<Option<&'static str>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_new_folder_is_private_and_workshops_clean_up() {
        let temporary = tempfile::tempdir().unwrap();
        let cache = Cache::at(temporary.path().join("a/b")).unwrap();
        let workshop = cache.workshop().unwrap();
        let path = workshop.path().to_owned();
        fs::write(path.join("x"), "x").unwrap();
        drop(workshop);
        assert!(!path.exists());
        assert!(Cache::at(temporary.path().join("a/b")).is_ok());
        assert_eq!(fs::read_dir(temporary.path().join("a/b")).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("open");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let text = Cache::at(folder.clone()).unwrap_err().to_string();
        assert!(text.contains("other users may write") && text.contains("chmod 700"), "{text}");
        // What a plain `mkdir` makes.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Cache::at(folder.clone()).is_ok());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let link = temporary.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(Cache::at(link).unwrap_err().to_string().contains("not a folder itself"));
    }
}
