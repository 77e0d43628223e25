//! Why there is no device, from what XRT says and what the system shows. XRT alone says the same ("no such device") of a missing
//! driver, a missing node, a missing permission and a missing plugin.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::failure::{Cause, Failure, RAISE_MEMLOCK, errno};
use super::library::{self, PLUGIN};
use super::load_error::LoadError;
use crate::{Error, Obstacle};

/// The driver's folder, once the kernel has it: below the root of the file system.
const DRIVER: &str = "sys/bus/pci/drivers/amdxdna";
/// The device's heap, which XRT locks in memory when it opens the device (XDNA:npu1_regs.c:140).
const HEAP_BYTES: u64 = 64 << 20;
/// No memory (asm-generic/errno-base.h).
const ENOMEM: i32 = 12;

/// What the system shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    driver: bool,
    /// The node that the driver has made for an NPU, and why it cannot be opened.
    node: Option<(PathBuf, Option<ErrorKind>)>,
    /// Why XRT's plugin for NPUs cannot be opened.
    plugin: Result<(), NoPlugin>,
    /// Bytes that may be locked; `None` is all.
    memlock_bytes: Option<u64>,
}

/// Why XRT has no plugin for NPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoPlugin {
    /// It is not in the folder in which XRT looks for it.
    Missing(PathBuf),
    /// It is there and does not load, in the loader's words.
    Broken(String),
}

impl Machine {
    pub(super) fn look() -> Self {
        let node = node_below(Path::new("/")).map(|path| {
            let refused = File::options().read(true).write(true).open(&path).err();
            (path, refused.map(|error| error.kind()))
        });
        Self {
            driver: Path::new("/").join(DRIVER).exists(),
            node,
            plugin: plugin(),
            memlock_bytes: fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(memlock),
        }
    }
}

/// Whether the plugin loads. XRT takes it from the folder that its own library lies in (XRT:module_loader.cpp), and only from there.
fn plugin() -> Result<(), NoPlugin> {
    let Some(folder) = library::runtime_folder() else { return Ok(()) };
    let path = folder.join(PLUGIN);
    if !path.exists() {
        return Err(NoPlugin::Missing(folder));
    }
    library::loads(&path).map_err(NoPlugin::Broken)
}

/// The node of the first function that the driver has taken. Other accelerators have nodes in the same folder.
fn node_below(root: &Path) -> Option<PathBuf> {
    let names = |folder: PathBuf| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    let driver = root.join(DRIVER);
    // The driver's folder has files, too; a function's name is its address, as `0000:c5:00.1`.
    let functions = names(driver.clone()).into_iter().filter(|name| name.contains(':'));
    let mut nodes = functions.flat_map(|function| names(driver.join(function).join("accel")));
    nodes.find(|name| name.starts_with("accel")).map(|name| root.join("dev/accel").join(name))
}

/// Whether the kernel shows a device that an NPU could be behind.
#[must_use]
pub fn node_exists() -> bool {
    node_below(Path::new("/")).is_some_and(|path| path.exists())
}

/// The soft limit of locked memory.
fn memlock(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// As the error for a caller.
pub(super) fn unavailable(obstacle: Obstacle, why: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Unavailable { device: "xrt", obstacle, why: why.into(), hint: hint.into() }
}

/// A shim that does not open.
pub(super) fn no_shim(error: &LoadError) -> Error {
    let obstacle = if error.is_of_runtime() { Obstacle::Runtime } else { Obstacle::Shim };
    unavailable(obstacle, error.to_string(), error.advice())
}

/// Why the device does not open.
pub(super) fn explain(failure: &Failure, machine: &Machine) -> Error {
    let said = &failure.why;
    let errno = match failure.cause {
        Cause::System(errno) => errno,
        _ => 0,
    };
    let (node, refused) = machine.node.clone().map_or((None, None), |(node, refused)| (Some(node), refused));
    if matches!(errno, errno::EACCES | errno::EPERM) || refused == Some(ErrorKind::PermissionDenied) {
        let node = node.unwrap_or_else(|| "/dev/accel/accel0".into());
        let node = node.display();
        return unavailable(
            Obstacle::Permission,
            format!("no permission to open {node} ({said})"),
            format!(
                "add the user to the group that owns it (mostly `sudo usermod -aG render $USER`) and log in again; in Docker, \
                 `--device {node} --group-add $(getent group render | cut -d: -f3)`"
            ),
        );
    }
    let Some(node) = node else { return no_node(machine.driver, said) };
    let node = node.display();
    if refused == Some(ErrorKind::NotFound) {
        return unavailable(
            Obstacle::Node,
            format!("the driver amdxdna has made {node}, but it is not there ({said})"),
            format!("in a container, start it with `--device {node}`; elsewhere, see that udev runs"),
        );
    }
    if let Err(no_plugin) = &machine.plugin {
        return match no_plugin {
            NoPlugin::Missing(folder) => unavailable(
                Obstacle::Plugin,
                format!("XRT has no plugin for NPUs: there is no {PLUGIN} in {} ({said})", folder.display()),
                "install it (Debian and Ubuntu: libxrt-npu2; AMD's own packages: xrt_plugin-amdxdna), of the same version as XRT",
            ),
            NoPlugin::Broken(why) => unavailable(
                Obstacle::Plugin,
                format!("XRT's plugin for NPUs does not load: {why}"),
                "install XRT and its plugin anew, both of one version and from one source",
            ),
        };
    }
    match errno {
        errno::EAGAIN => {
            let limit = machine
                .memlock_bytes
                .map_or_else(|| "its limit".to_owned(), |bytes| format!("{bytes} bytes"));
            unavailable(
                Obstacle::LockedMemory,
                format!(
                    "the device's heap of {HEAP_BYTES} bytes cannot be locked in memory; the memlock limit is {limit} ({said})"
                ),
                RAISE_MEMLOCK,
            )
        }
        ENOMEM => unavailable(
            Obstacle::Other,
            format!("the driver has no memory for the device's heap of {HEAP_BYTES} bytes: {said}"),
            "end programs that take much memory, or other programs that use the NPU",
        ),
        errno::EINVAL => unavailable(
            Obstacle::Other,
            format!("XRT does not open {node}: {said}"),
            "update the kernel or XRT so that they fit each other, and see what `xrt-smi examine` and `sudo dmesg | grep amdxdna` say",
        ),
        _ => unavailable(
            Obstacle::Other,
            format!("XRT does not open {node}: {said}"),
            "see what `xrt-smi examine` and `sudo dmesg | grep amdxdna` say",
        ),
    }
}

fn no_node(driver: bool, said: &str) -> Error {
    if driver {
        unavailable(
            Obstacle::Node,
            format!("the driver amdxdna is loaded, but it has made no node /dev/accel/accel* ({said})"),
            "see `sudo dmesg | grep amdxdna`: mostly the firmware is missing, or the NPU is off in the BIOS",
        )
    } else {
        unavailable(
            Obstacle::Driver,
            format!("the kernel has no NPU: it has no driver amdxdna ({said})"),
            "load the driver (`sudo modprobe amdxdna`; Linux 6.14 or newer has it), and check that the processor has an NPU and \
             that the BIOS enables it",
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn healthy() -> Machine {
        Machine {
            driver: true,
            node: Some(("/dev/accel/accel0".into(), None)),
            plugin: Ok(()),
            memlock_bytes: None,
        }
    }

    #[test]
    fn each_cause_has_its_words() {
        let system = |errno| Failure::new(Cause::System(errno), "what XRT says");
        let none = Machine { node: None, ..healthy() };
        let unseen = Machine { node: None, driver: false, ..healthy() };
        let bare = Machine { node: None, driver: false, ..healthy() };
        let low = Machine { memlock_bytes: Some(8 << 20), ..healthy() };
        let refused = |kind| Machine { node: Some(("/dev/accel/accel3".into(), Some(kind))), ..healthy() };
        let (shut, hidden) = (refused(ErrorKind::PermissionDenied), refused(ErrorKind::NotFound));
        let without = |plugin| Machine { plugin: Err(plugin), ..healthy() };
        let (missing, broken) = (
            without(NoPlugin::Missing("/opt/xrt/lib".into())),
            without(NoPlugin::Broken("file too short".into())),
        );
        let index = || Failure::new(Cause::Runtime, "No such device with index '0'");
        for (failure, machine, obstacle, why, hint) in [
            (system(13), unseen, Obstacle::Permission, "no permission to open /dev/accel/accel0", "render"),
            (
                system(13),
                healthy(),
                Obstacle::Permission,
                "no permission to open /dev/accel/accel0",
                "render",
            ),
            (
                index(),
                shut,
                Obstacle::Permission,
                "no permission to open /dev/accel/accel3",
                "/dev/accel/accel3",
            ),
            (index(), hidden, Obstacle::Node, "made /dev/accel/accel3, but it is not there", "container"),
            (system(22), none, Obstacle::Node, "is loaded, but it has made no node", "dmesg"),
            (index(), bare, Obstacle::Driver, "no driver amdxdna", "modprobe"),
            (index(), missing, Obstacle::Plugin, "no libxrt_driver_xdna.so.2 in /opt/xrt/lib", "libxrt-npu2"),
            (index(), broken, Obstacle::Plugin, "does not load: file too short", "anew"),
            (system(11), healthy(), Obstacle::LockedMemory, "cannot be locked", "ulimit -l"),
            (system(11), low.clone(), Obstacle::LockedMemory, "memlock limit is 8388608", "ulimit -l"),
            // Who may lock freely has a low limit, too.
            (system(22), low, Obstacle::Other, "does not open", "xrt-smi"),
            (
                system(22),
                healthy(),
                Obstacle::Other,
                "does not open /dev/accel/accel0: what XRT says",
                "xrt-smi",
            ),
            (system(12), healthy(), Obstacle::Other, "no memory for the device's heap", "end programs"),
            (system(5), healthy(), Obstacle::Other, "what XRT says", "dmesg"),
        ] {
            let Error::Unavailable { device, obstacle: kind, why: told, hint: advice } =
                explain(&failure, &machine)
            else {
                panic!("{failure:?}")
            };
            assert_eq!((device, kind), ("xrt", obstacle), "{told}");
            assert!(told.contains(why), "`{told}` lacks `{why}`");
            assert!(advice.contains(hint), "`{advice}` lacks `{hint}`");
        }
    }

    #[test]
    fn another_accelerator_s_node_is_not_the_npu_s() {
        let root = tempfile::tempdir().unwrap();
        let folder = |path: &str| fs::create_dir_all(root.path().join(path)).unwrap();
        folder("dev/accel/accel0");
        folder("sys/bus/pci/drivers/intel_vpu/0000:00:0b.0/accel/accel0");
        assert_eq!(node_below(root.path()), None);
        folder("sys/bus/pci/drivers/amdxdna/module/accel/accel7");
        assert_eq!(node_below(root.path()), None);
        // Not there itself, as in a container that does not show it.
        folder("sys/bus/pci/drivers/amdxdna/0000:c5:00.1/accel/accel1");
        assert_eq!(node_below(root.path()), Some(root.path().join("dev/accel/accel1")));
    }

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let of = |limit: &str| {
            memlock(&format!("Max processes  1 2 p\nMax locked memory         {limit}  3 bytes\n"))
        };
        assert_eq!((of("8388608"), of("unlimited"), memlock("")), (Some(8 << 20), None, None));
    }
}
