//! Finding and opening the shim.
//!
//! It is never closed again: XRT keeps threads and objects of its own until the process ends.
#![allow(unsafe_code, reason = "opens a shared library")]

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::Library;

use super::bindings::{self, xrt_shim_api};
use super::load_error::LoadError;

/// Names the shim's file; nothing else is tried then.
pub const SHIM_VARIABLE: &str = "NPU_XRT_SHIM";
/// What the build calls it.
const FILE: &str = "libnpu_xrt_shim.so";
/// XRT's library that the shim calls, without its version.
pub(super) const RUNTIME: &str = "libxrt_coreutil.so";
/// By which XRT reaches NPUs.
pub(super) const PLUGIN: &str = "libxrt_driver_xdna.so.2";
/// The one function that it exports, ended by zero.
const ENTRY: &[u8] = b"xrt_shim_get_api\0";

/// An open shim. Copies are the same one.
#[derive(Clone, Copy)]
pub(super) struct Shim(&'static xrt_shim_api);

/// Opens the shim as [`XrtDevice::open`](super::XrtDevice::open) does, and tells which file it is.
///
/// # Errors
/// [`LoadError`].
pub fn shim() -> Result<PathBuf, LoadError> {
    Shim::find().map(|(_, path)| path)
}

impl fmt::Debug for Shim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shim of version {}", self.0.abi)
    }
}

impl Shim {
    /// The one of this process, opened at the first call that finds it.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(super) fn open() -> Result<Self, LoadError> {
        Self::find().map(|(shim, _)| shim)
    }

    fn find() -> Result<(Self, PathBuf), LoadError> {
        static OPEN: OnceLock<(Shim, PathBuf)> = OnceLock::new();
        if let Some(open) = OPEN.get() {
            return Ok(open.clone());
        }
        let program = env::current_exe().ok();
        let found = Self::first_of(&candidates(env::var_os(SHIM_VARIABLE), program.as_deref()))?;
        Ok(OPEN.get_or_init(|| found).clone())
    }

    /// The functions.
    pub(super) fn table(self) -> &'static xrt_shim_api {
        self.0
    }

    /// One made of a table in this program.
    #[cfg(test)]
    pub(super) fn of(table: &'static xrt_shim_api) -> Self {
        Self(table)
    }

    /// The first file that is there decides: a broken one is an error, not a reason to look further.
    fn first_of(paths: &[PathBuf]) -> Result<(Self, PathBuf), LoadError> {
        let mut tried = Vec::new();
        for path in paths {
            // A bare name is looked for by the loader.
            let bare = path.parent() == Some(Path::new(""));
            if !bare && !path.exists() {
                tried.push((path.clone(), "no such file".to_owned()));
                continue;
            }
            match Self::open_file(path) {
                Err(LoadError::NotAShim { why, .. }) if bare => tried.push((path.clone(), why)),
                answer => return answer.map(|shim| (shim, path.clone())),
            }
        }
        Err(LoadError::NotFound { tried })
    }

    fn open_file(path: &Path) -> Result<Self, LoadError> {
        let refused = |why: String| LoadError::sorted(path, why);
        // SAFETY: the file is our shim by its name and place, or what the user has named as such; its initializers are those
        // of the C++ libraries that it links.
        let library = unsafe { load(path) }.map_err(refused)?;
        // SAFETY: the header gives the function this type; a library that has the name has the function.
        let entry = unsafe { library.get::<bindings::xrt_shim_get_api_fn>(ENTRY) };
        let entry = *entry.map_err(|error| refused(text(&error)))?;
        let not_ours = |why: &str| LoadError::NotAShim { path: path.into(), why: why.into() };
        let entry = entry.ok_or_else(|| not_ours("its entry is empty"))?;
        // SAFETY: the function takes nothing and answers a pointer to a table that lives as long as the library, which is
        // never closed (below), or null.
        let table = unsafe { entry().as_ref() }.ok_or_else(|| not_ours("it has no table"))?;
        if table.abi != bindings::XRT_SHIM_ABI {
            return Err(LoadError::Version {
                path: path.into(),
                found: table.abi,
                wanted: bindings::XRT_SHIM_ABI,
            });
        }
        if usize::try_from(table.size_bytes) != Ok(size_of::<xrt_shim_api>()) {
            return Err(not_ours("its table has another size than its version says"));
        }
        std::mem::forget(library);
        Ok(Self(table))
    }
}

/// Opens a library with all that it calls, so that a function that is missing is told now and does not end the program later.
///
/// # Safety
/// The library's initializers run.
unsafe fn load(path: &Path) -> Result<Library, String> {
    #[cfg(unix)]
    let opened = {
        use libloading::os::unix;
        // SAFETY: the caller's.
        unsafe { unix::Library::open(Some(path), unix::RTLD_NOW | unix::RTLD_LOCAL) }.map(Library::from)
    };
    #[cfg(not(unix))]
    // SAFETY: the caller's.
    let opened = unsafe { Library::new(path) };
    opened.map_err(|error| text(&error))
}

/// Whether a library of XRT loads, or what the loader says. It stays open: XRT may have been told of it by then.
pub(super) fn loads(path: &Path) -> Result<(), String> {
    // SAFETY: a library that XRT itself opens for every device; its initializers are those of XRT.
    unsafe { load(path) }.map(std::mem::forget)
}

/// The folder of XRT's library, once the shim is open.
#[must_use]
pub fn runtime_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
    let runtime = path.map(Path::new).find(|path| named(path, RUNTIME))?;
    runtime.parent().map(Path::to_path_buf)
}

/// Whether the file is that library, in some version.
pub(super) fn named(path: &Path, library: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(library))
}

/// The loader's own words: they are the source of what is shown of an error.
fn text(error: &libloading::Error) -> String {
    let deeper = std::error::Error::source(error).map(ToString::to_string);
    deeper.unwrap_or_else(|| error.to_string())
}

/// Where to look, in this order: what the user has named, and then alone; beside the program, where the build puts it, and the
/// folder above it (where cargo puts tests); wherever the loader looks.
fn candidates(named: Option<OsString>, program: Option<&Path>) -> Vec<PathBuf> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let path = PathBuf::from(named);
        // A name without a folder is meant to be in this one, not where the loader looks.
        return vec![if path.parent() == Some(Path::new("")) { Path::new(".").join(path) } else { path }];
    }
    let beside = program.into_iter().flat_map(|program| program.ancestors().skip(1).take(2));
    let mut paths: Vec<PathBuf> = beside.map(|folder| folder.join(FILE)).collect();
    paths.push(OsStr::new(FILE).into());
    paths
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_named_shim_is_the_only_one_tried() {
        let program = Path::new("/a/b/program");
        assert_eq!(candidates(Some("x.so".into()), Some(program)), [Path::new("./x.so")]);
        assert_eq!(candidates(Some("/y/x.so".into()), Some(program)), [Path::new("/y/x.so")]);
        let all = candidates(Some(OsString::new()), Some(program));
        assert_eq!(all[..2], [Path::new("/a/b").join(FILE), Path::new("/a").join(FILE)]);
        assert_eq!(all.last().unwrap(), Path::new(FILE));
    }

    #[test]
    fn every_path_that_was_tried_is_told() {
        let paths = ["/nowhere/1.so", "/nowhere/2.so", "libof-no-system.so"].map(PathBuf::from);
        let error = Shim::first_of(&paths).unwrap_err();
        let LoadError::NotFound { tried } = &error else { panic!("{error}") };
        assert_eq!(tried.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), paths);
        for path in paths {
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_no_shim_is_told_apart_from_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Shim::first_of(&[file.path().to_path_buf()]).unwrap_err();
        assert!(matches!(error, LoadError::NotAShim { .. }), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn another_library_is_no_shim() {
        let error = Shim::open_file(Path::new("libc.so.6")).unwrap_err();
        assert!(
            matches!(&error, LoadError::NotAShim { why, .. } if why.contains("xrt_shim_get_api")),
            "{error}"
        );
    }

    #[test]
    fn the_loader_s_words_are_not_lost() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let why = loads(file.path()).unwrap_err();
        assert!(why.contains("file too short"), "{why}");
    }
}
