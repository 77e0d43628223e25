//! Looks at the system: everything below one root folder, so that tests can make one up.
//!
//! Nothing here judges, and nothing fails: what cannot be read is missing from the facts.

mod libraries;
mod node;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use npu_backend::ops::IMAGES_VARIABLE;
use npu_backend::xrt;
use whisper_encoder::Checkpoint;

use super::facts::{Driver, Facts, Images, Limit, NoShim, Npu, User};
use super::npu::DRIVER;
use crate::model::{self, Surroundings};

/// AMD's number on the PCI bus.
const AMD: u32 = 0x1022;
/// Bit of CAP_IPC_LOCK (linux/capability.h).
const IPC_LOCK: u32 = 14;

/// Where to look.
#[derive(Clone, Debug)]
pub(super) struct System {
    /// The folder that stands for `/`.
    pub(super) root: PathBuf,
    /// Whether it is Linux.
    pub(super) linux: bool,
    /// Where models and kernels are looked for.
    pub(super) surroundings: Surroundings,
    /// Environment variables: `PATH`, `CXX`, `LD_LIBRARY_PATH`, `XILINX_XRT`.
    pub(super) variables: Vec<(&'static str, String)>,
}

impl System {
    /// This machine, as this process sees it.
    pub(super) fn of_process(surroundings: Surroundings) -> Self {
        let names = ["PATH", "CXX", "LD_LIBRARY_PATH", "XILINX_XRT", IMAGES_VARIABLE];
        let variables =
            names.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?))).collect();
        Self { root: "/".into(), linux: cfg!(target_os = "linux"), surroundings, variables }
    }

    /// All facts.
    pub(super) fn read(&self) -> Facts {
        let status = self.text("/proc/self/status").unwrap_or_default();
        // Opened first: it tells which runtime the loader takes.
        let shim = xrt::shim().map_err(|error| NoShim {
            why: error.to_string(),
            fix: error.advice().to_owned(),
            of_runtime: error.is_of_runtime(),
        });
        Facts {
            linux: self.linux,
            level: crate::cli::version::level(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: self.line("/proc/sys/kernel/osrelease"),
            driver: self.driver(),
            npus: self.npus(),
            user: self.user(&status),
            memlock: self.text("/proc/self/limits").as_deref().and_then(memlock),
            libraries: libraries::find(self, xrt::runtime_folder()),
            shim,
            images: self.images(),
            model: self.model(),
            cxx: self.variable("CXX").map(String::from),
            compiler: self.compiler(),
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(known, value)| *known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// A path of the system, below the root.
    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.at(path)).ok()
    }

    /// A file of one line.
    fn line(&self, path: impl AsRef<Path>) -> Option<String> {
        self.text(path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn driver(&self) -> Option<Driver> {
        let module = Path::new("/sys/module").join(DRIVER);
        // A driver that is built into the kernel may have no folder of a module.
        let there = [module.clone(), Path::new("/sys/bus/pci/drivers").join(DRIVER)];
        there
            .iter()
            .any(|path| self.at(path).is_dir())
            .then(|| Driver { version: self.line(module.join("version")) })
    }

    fn npus(&self) -> Vec<Npu> {
        let bus = Path::new("/sys/bus/pci/devices");
        let taken = Path::new("/sys/bus/pci/drivers").join(DRIVER);
        let on_bus = names(&self.at(bus));
        // A container may show what the driver has taken, and not the bus.
        let rest =
            names(&self.at(&taken)).into_iter().filter(|name| name.contains(':') && !on_bus.contains(name));
        let rest: Vec<Npu> = rest
            .filter_map(|address| {
                let npu = self.npu(&taken.join(&address), address)?;
                Some(Npu { driver: Some(DRIVER.into()), ..npu })
            })
            .collect();
        on_bus
            .iter()
            .filter_map(|address| self.npu(&bus.join(address), address.clone()))
            .chain(rest)
            .collect()
    }

    /// A device of the bus, if it is one of AMD's NPUs.
    fn npu(&self, folder: &Path, address: String) -> Option<Npu> {
        let number = |file: &str| {
            let text = self.line(folder.join(file))?;
            u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
        };
        if number("vendor")? != AMD {
            return None;
        }
        let device = u16::try_from(number("device")?).ok()?;
        let revision = number("revision").and_then(|revision| u8::try_from(revision).ok()).unwrap_or(0);
        super::npu::kind(device, revision)?;
        let driver = fs::read_link(self.at(folder.join("driver"))).ok();
        let driver = driver.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let node = names(&self.at(folder.join("accel"))).into_iter().next();
        Some(Npu {
            address,
            device,
            revision,
            driver,
            node: node.map(|name| node::look(self, &Path::new("/dev/accel").join(name))),
            firmware: self.line(folder.join("fw_version")),
        })
    }

    fn user(&self, status: &str) -> User {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let numbers = |name: &str| {
            field(name).split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>()
        };
        // Real, effective, saved and file system id: the last is what files are opened by.
        let id = numbers("Uid:").last().copied();
        let mut groups = numbers("Groups:");
        groups.extend(numbers("Gid:").last());
        let capabilities = u64::from_str_radix(field("CapEff:").trim(), 16).unwrap_or(0);
        User {
            name: id.and_then(|id| self.user_name(id)),
            groups,
            locks_freely: capabilities >> IPC_LOCK & 1 == 1,
        }
    }

    fn user_name(&self, id: u32) -> Option<String> {
        let passwd = self.text("/etc/passwd")?;
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
        })
    }

    /// Folders `images` beside the program, in the folders above it, here and above, and in the user's data folder; with
    /// `kernels/images`, where the kernels' Makefile puts them.
    fn images(&self) -> Vec<Images> {
        let above = |folder: &Option<PathBuf>| -> Vec<PathBuf> {
            folder.iter().flat_map(|folder| folder.ancestors().map(Path::to_path_buf)).collect()
        };
        // Named, they are looked for nowhere else.
        let named = self.variable(IMAGES_VARIABLE).map(PathBuf::from);
        let anywhere = named.is_none();
        let mut roots: Vec<PathBuf> = named.into_iter().collect();
        for folder in above(&self.surroundings.exe_dir)
            .into_iter()
            .chain(above(&self.surroundings.current_dir))
            .filter(|_| anywhere)
        {
            roots.extend([folder.join("images"), folder.join("kernels/images")]);
        }
        // Beside the models.
        let data = self.surroundings.data_dir.as_ref().filter(|_| anywhere);
        roots.extend(data.map(|models| models.with_file_name("images")));
        let mut seen = std::collections::HashSet::new();
        roots.retain(|root| root.is_dir() && seen.insert(root.clone()));
        let indexed = |root: &Path| -> Vec<String> {
            names(root).into_iter().filter(|name| root.join(name).join("index.toml").is_file()).collect()
        };
        let images = roots.into_iter().map(|root| Images { indexed: indexed(&root), root });
        // A folder that only has the name, and no generation in it, is somebody's pictures.
        let images = images.filter(|images| names(&images.root).iter().any(|name| name.starts_with("aie2")));
        images.collect()
    }

    /// The bundled model, opened as far as its header.
    fn model(&self) -> Result<PathBuf, (String, String)> {
        let parts =
            |error: crate::Error| (format!("{}: {}", error.what(), error.why()), error.hint().to_owned());
        let files = model::bundled(&self.surroundings).map_err(parts)?;
        Checkpoint::open_files(&files.config, &files.weights).map_err(|error| parts(error.into()))?;
        Ok(files.folder)
    }

    /// The program that `CXX` names, or the first of the usual names on the `PATH`.
    fn compiler(&self) -> Option<PathBuf> {
        // Build systems put arguments into CXX too (`ccache g++`).
        let wish = self.variable("CXX").and_then(|wish| wish.split_whitespace().next());
        let wishes = wish.map_or_else(|| vec!["c++", "g++", "clang++"], |wish| vec![wish]);
        let folders: Vec<PathBuf> =
            self.variable("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
        wishes.into_iter().find_map(|name| {
            let candidates: Vec<PathBuf> = if name.contains('/') {
                vec![name.into()]
            } else {
                folders.iter().map(|folder| folder.join(name)).collect()
            };
            candidates.into_iter().find(|path| self.at(path).is_file())
        })
    }
}

/// Names in a folder, sorted; none if it cannot be read.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The limit of locked memory in the text of `/proc/self/limits`.
fn memlock(limits: &str) -> Option<Limit> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    let mut words = line.split_whitespace();
    let mut bytes = || match words.next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some(Limit { soft: bytes()?, hard: bytes()? })
}
