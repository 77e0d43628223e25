//! Why no shim opens, and what to do about it.

use std::path::{Path, PathBuf};

use super::library::{RUNTIME, named};

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
    /// Which of the causes the loader means, by the file that it names (glibc's dl-load.c, dl-lookup.c and dl-version.c have the words).
    pub(super) fn sorted(path: &Path, why: String) -> Self {
        let is_shim = |file: &str| Path::new(file).file_name() == path.file_name();
        let first = why.split(':').next().unwrap_or_default().to_owned();
        let required_by =
            why.split("(required by ").nth(1).and_then(|rest| rest.split(')').next()).map(str::to_owned);
        let path = path.to_path_buf();
        if let Some(needs) = required_by {
            // file: version `V' not found (required by file)
            return if is_shim(&needs) {
                Self::NewShim { path, why }
            } else {
                Self::UnfitRuntime { path, why }
            };
        }
        if why.contains("undefined symbol") && !why.contains("xrt_shim_get_api") {
            // file: undefined symbol: name
            return if is_shim(&first) {
                Self::OldRuntime { path, why }
            } else {
                Self::UnfitRuntime { path, why }
            };
        }
        if is_shim(&first) || !first.contains(".so") {
            return Self::NotAShim { path, why };
        }
        if why.contains("No such file") {
            // file: cannot open shared object file: No such file or directory
            return if named(Path::new(&first), RUNTIME) {
                Self::NoRuntime { path, why }
            } else {
                Self::NoDependency { path, why }
            };
        }
        // file: file too short, invalid ELF header, wrong ELF class, cannot open shared object file: Permission denied
        Self::UnfitRuntime { path, why }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    /// The words are a loader's: glibc 2.36 and 2.42, on files that lacked what they say, in the sandbox of XRT and outside of it.
    #[test]
    fn what_the_loader_says_is_sorted_by_the_file_that_it_names() {
        let of = |why: &str| LoadError::sorted(Path::new("/bin/libnpu_xrt_shim.so"), why.to_owned());
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
            "/usr/lib/libxrt_coreutil.so.2: file too short",
            "/usr/lib/libxrt_coreutil.so.2: invalid ELF header",
            "/usr/lib/libxrt_coreutil.so.2: wrong ELF class: ELFCLASS32",
            "/usr/lib/libxrt_coreutil.so.2: cannot open shared object file: Permission denied",
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
}
