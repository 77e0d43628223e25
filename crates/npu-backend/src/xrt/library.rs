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

/// Names the shim's file; nothing else is tried then.
pub const SHIM_VARIABLE: &str = "NPU_XRT_SHIM";
/// What the build calls it.
const FILE: &str = "libnpu_xrt_shim.so";
/// XRT's library that the shim calls, without its version.
const RUNTIME: &str = "libxrt_coreutil.so";
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

/// Why no shim could be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Its file is nowhere.
    #[error("the XRT shim is not there: {}", listed(tried))]
    NotFound {
        /// Every path that was tried, and what the loader said.
        tried: Vec<(PathBuf, String)>,
    },
    /// The shim is there, the library of XRT that it calls is not.
    #[error("{} is there, but XRT itself is not: {why}", path.display())]
    NoRuntime {
        /// The shim.
        path: PathBuf,
        /// What the loader said.
        why: String,
    },
    /// XRT is there, but it is made for a newer system than this one, or its libraries do not fit each other.
    #[error("{} is there, but XRT does not load: {why}", path.display())]
    UnfitRuntime {
        /// The shim.
        path: PathBuf,
        /// What the loader said; it names what is missing.
        why: String,
    },
    /// A library is missing that XRT or the shim needs.
    #[error("{} is there, but a library that it or XRT needs is not: {why}", path.display())]
    NoDependency {
        /// The shim.
        path: PathBuf,
        /// What the loader said; it names the library.
        why: String,
    },
    /// The shim was built for a newer system than this one.
    #[error("{} was built for a newer system: {why}", path.display())]
    NewShim {
        /// The shim.
        path: PathBuf,
        /// What the loader said; it names a version of a library.
        why: String,
    },
    /// XRT is older than the one that the shim was built with: it lacks functions.
    #[error("the installed XRT is older than the one that {} was built with: {why}", path.display())]
    OldRuntime {
        /// The shim.
        path: PathBuf,
        /// What the loader said; it names a function.
        why: String,
    },
    /// The file is there, but it is no library for this machine, or not ours.
    #[error("{} is no XRT shim: {why}", path.display())]
    NotAShim {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A shim of another version of this program.
    #[error("{} has version {found}, this program needs {wanted}", path.display())]
    Version {
        /// The shim.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version of this program.
        wanted: u32,
    },
}

fn listed(tried: &[(PathBuf, String)]) -> String {
    tried.iter().map(|(path, why)| format!("{} ({why})", path.display())).collect::<Vec<_>>().join(", ")
}

impl LoadError {
    /// Whether AMD's runtime is at fault and not the shim.
    #[must_use]
    pub fn is_of_runtime(&self) -> bool {
        matches!(
            self,
            Self::NoRuntime { .. }
                | Self::OldRuntime { .. }
                | Self::UnfitRuntime { .. }
                | Self::NoDependency { .. }
        )
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => {
                "build it on a machine with XRT's headers (`cargo build --release --features npu-backend/xrt-shim`), or name its \
                 file by NPU_XRT_SHIM"
            }
            Self::NoRuntime { .. } => {
                "install AMD's XRT with its NPU plugin (Debian and Ubuntu: libxrt2 and libxrt-npu2), or let the loader find \
                 it (`source /opt/xilinx/xrt/setup.sh`)"
            }
            Self::UnfitRuntime { .. } => {
                "install XRT and its plugin from one source that is made for this system (its own packages, or built here); a \
                 version of GLIBC or GLIBCXX that is not found belongs to a newer system"
            }
            Self::NoDependency { .. } => {
                "install the library that is named; packages of XRT bring it along, files that were copied do not"
            }
            Self::NewShim { .. } => {
                "build the shim on this machine, or on one that is no newer \
                 (`cargo build --release --features npu-backend/xrt-shim`)"
            }
            Self::OldRuntime { .. } => {
                "update XRT, or build the shim again with the headers of the installed one"
            }
            Self::NotAShim { .. } => "build it again, or let NPU_XRT_SHIM name the right file",
            Self::Version { .. } => "build the shim again, from the sources of this program",
        }
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
        let refused = |why: String| sort(path, why);
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
fn named(path: &Path, library: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(library))
}

/// The loader's own words: they are the source of what is shown of an error.
fn text(error: &libloading::Error) -> String {
    let deeper = std::error::Error::source(error).map(ToString::to_string);
    deeper.unwrap_or_else(|| error.to_string())
}

/// Which of the causes the loader means, by the file that it names (glibc's dl-load.c, dl-lookup.c and dl-version.c have the words).
fn sort(path: &Path, why: String) -> LoadError {
    let is_shim = |file: &str| Path::new(file).file_name() == path.file_name();
    let first = why.split(':').next().unwrap_or_default().to_owned();
    let required_by =
        why.split("(required by ").nth(1).and_then(|rest| rest.split(')').next()).map(str::to_owned);
    let path = path.to_path_buf();
    if let Some(needs) = required_by {
        // file: version `V' not found (required by file)
        return if is_shim(&needs) {
            LoadError::NewShim { path, why }
        } else {
            LoadError::UnfitRuntime { path, why }
        };
    }
    if why.contains("undefined symbol") && !why.contains("xrt_shim_get_api") {
        // file: undefined symbol: name
        return if is_shim(&first) {
            LoadError::OldRuntime { path, why }
        } else {
            LoadError::UnfitRuntime { path, why }
        };
    }
    if why.contains("cannot open shared object file") && !is_shim(&first) {
        // file: cannot open shared object file: reason
        return if named(Path::new(&first), RUNTIME) {
            LoadError::NoRuntime { path, why }
        } else {
            LoadError::NoDependency { path, why }
        };
    }
    LoadError::NotAShim { path, why }
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

    /// The words are a loader's: glibc 2.36 and 2.42, on files that lacked what they say, in the sandbox of XRT and outside of it.
    #[test]
    fn what_the_loader_says_is_sorted_by_the_file_that_it_names() {
        let of = |why: &str| sort(Path::new("/bin/libnpu_xrt_shim.so"), why.to_owned());
        let sorted =
            |why: &str, kind: fn(&LoadError) -> bool| assert!(kind(&of(why)), "{why}: {:?}", of(why));
        sorted("libxrt_coreutil.so.2: cannot open shared object file: No such file or directory", |error| {
            matches!(error, LoadError::NoRuntime { .. })
        });
        sorted("libuuid.so.1: cannot open shared object file: No such file or directory", |error| {
            matches!(error, LoadError::NoDependency { .. })
        });
        for why in [
            "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /usr/lib/libxrt_coreutil.so.2)",
            "/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /usr/lib/libxrt_coreutil.so.2)",
            "/usr/lib/libxrt_coreutil.so.2: undefined symbol: uuid_generate",
        ] {
            sorted(why, |error| matches!(error, LoadError::UnfitRuntime { .. }));
        }
        sorted(
            "/lib/libstdc++.so.6: version `GLIBCXX_3.4.99' not found (required by /bin/libnpu_xrt_shim.so)",
            |error| matches!(error, LoadError::NewShim { .. }),
        );
        sorted("/bin/libnpu_xrt_shim.so: undefined symbol: _ZN3xrt7runlist7executeEv", |error| {
            matches!(error, LoadError::OldRuntime { .. })
        });
        for why in [
            "/bin/libnpu_xrt_shim.so: file too short",
            "/bin/libnpu_xrt_shim.so: undefined symbol: xrt_shim_get_api",
            "/bin/libnpu_xrt_shim.so: cannot open shared object file: No such file or directory",
        ] {
            sorted(why, |error| matches!(error, LoadError::NotAShim { .. }));
        }
    }

    #[test]
    fn the_loader_s_words_are_not_lost() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let why = loads(file.path()).unwrap_err();
        assert!(why.contains("file too short"), "{why}");
    }
}
