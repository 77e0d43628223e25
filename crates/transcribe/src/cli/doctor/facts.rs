//! What doctor knows of the machine, as plain data.

use std::path::PathBuf;

/// Everything that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Whether this is Linux, the only system with the driver.
    pub(super) linux: bool,
    /// The best instructions of the processor, as `avx512+vnni`.
    pub(super) level: String,
    /// Threads that can run at a time.
    pub(super) threads: usize,
    /// The kernel's release, as `6.14.0-27-generic`.
    pub(super) kernel: Option<String>,
    /// The driver, if the kernel has loaded it.
    pub(super) driver: Option<Driver>,
    /// AMD's NPUs on the PCI bus.
    pub(super) npus: Vec<Npu>,
    /// Who runs the program.
    pub(super) user: User,
    /// Limits of locked memory; `None` if they cannot be read.
    pub(super) memlock: Option<Limit>,
    /// Libraries of AMD's runtime, those first that the loader finds.
    pub(super) libraries: Vec<Library>,
    /// This program's library above AMD's runtime: its file, or why it does not open.
    pub(super) shim: Result<PathBuf, NoShim>,
    /// Folders where built kernels may be: `images` with a folder for each generation.
    pub(super) images: Vec<Images>,
    /// The bundled model's folder, or what is wrong with it and what to do.
    pub(super) model: Result<PathBuf, (String, String)>,
    /// The environment variable `CXX`.
    pub(super) cxx: Option<String>,
    /// The C++ compiler that it names, or else the first of the usual names.
    pub(super) compiler: Option<PathBuf>,
}

/// The kernel's module `amdxdna`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Driver {
    /// Its own version, where it says one.
    pub(super) version: Option<String>,
}

/// A device on the PCI bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Npu {
    /// Where it is, as `0000:c5:00.1`.
    pub(super) address: String,
    /// PCI device id; the vendor is AMD.
    pub(super) device: u16,
    /// PCI revision.
    pub(super) revision: u8,
    /// The driver that has taken it.
    pub(super) driver: Option<String>,
    /// Its node.
    pub(super) node: Option<Node>,
    /// Version of the firmware that runs on it.
    pub(super) firmware: Option<String>,
}

/// A node such as `/dev/accel/accel0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Its path.
    pub(super) path: PathBuf,
    /// Whether it is there; the kernel may know it while a container does not show it.
    pub(super) exists: bool,
    /// Whether it can be opened to read and write, or why not.
    pub(super) opens: Result<(), Refusal>,
    /// The group that it belongs to: number, and name if there is one.
    pub(super) group: Option<Group>,
}

/// Why a node cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Permission denied.
    Permission,
    /// Something else, in the system's words.
    Other(String),
}

/// A group of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Its number.
    pub(super) id: u32,
    /// Its name, if the system has one.
    pub(super) name: Option<String>,
    /// Names of its members.
    pub(super) members: Vec<String>,
}

/// Who runs the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct User {
    /// Name, if it has one.
    pub(super) name: Option<String>,
    /// Numbers of the groups that this process is in; a change needs a new login.
    pub(super) groups: Vec<u32>,
    /// Whether limits of locked memory do not bind it (CAP_IPC_LOCK).
    pub(super) locks_freely: bool,
}

/// A limit in bytes; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// What counts now.
    pub(super) soft: Option<u64>,
    /// How far the user may raise it.
    pub(super) hard: Option<u64>,
}

/// Why this program's library above AMD's runtime does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoShim {
    /// What is wrong.
    pub(super) why: String,
    /// What to do.
    pub(super) fix: String,
    /// Whether the runtime is at fault, and not the library.
    pub(super) of_runtime: bool,
}

/// A file of AMD's runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Library {
    /// Which.
    pub(super) part: Part,
    /// Where.
    pub(super) path: PathBuf,
    /// Version by the file's name, as `2.21.75`.
    pub(super) version: Option<String>,
    /// Whether programs find it without being told where.
    pub(super) searched: bool,
}

/// Parts of AMD's runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `libxrt_coreutil`, which programs call.
    Runtime,
    /// `libxrt_driver_xdna`, by which it reaches NPUs.
    Plugin,
}

/// A folder of built kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Images {
    /// The folder `images`.
    pub(super) root: PathBuf,
    /// Generations with an index in it, as `aie2`.
    pub(super) indexed: Vec<String>,
}
