//! Why there is no device, from what XRT says and what the system shows. XRT alone says the same ("no such device") of a missing
//! driver, a missing node, a missing permission and a missing plugin.
#![allow(unsafe_code, reason = "tries whether XRT's plugin can be opened")]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use libloading::Library;

use super::failure::{Cause, Failure, RAISE_MEMLOCK, errno};
use crate::Error;

/// Where nodes are.
const NODES: &str = "/dev/accel";
/// The driver, once the kernel has it.
const DRIVER: &str = "/sys/bus/pci/drivers/amdxdna";
/// By which XRT reaches NPUs.
const PLUGIN: &str = "libxrt_driver_xdna.so.2";
/// The device's heap, which XRT locks in memory when it opens the device (XDNA:npu1_regs.c:140).
const HEAP_BYTES: u64 = 64 << 20;

/// What the system shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    driver: bool,
    /// The first node, and why it cannot be opened.
    node: Option<(PathBuf, Option<ErrorKind>)>,
    /// Why XRT's plugin cannot be opened.
    plugin: Result<(), String>,
    /// Bytes that may be locked; `None` is all.
    memlock_bytes: Option<u64>,
}

impl Machine {
    pub(super) fn look() -> Self {
        // SAFETY: the library that XRT itself opens for every device; its initializers are those of XRT.
        let plugin = unsafe { Library::new(PLUGIN) };
        Self {
            driver: Path::new(DRIVER).exists(),
            node: first_node().map(|path| {
                let refused = File::options().read(true).write(true).open(&path).err();
                (path, refused.map(|error| error.kind()))
            }),
            plugin: plugin.map(drop).map_err(|error| error.to_string()),
            memlock_bytes: fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(memlock),
        }
    }
}

fn first_node() -> Option<PathBuf> {
    let entries = fs::read_dir(NODES).ok()?;
    let mut nodes: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    nodes.sort();
    nodes
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("accel")))
}

/// Whether the kernel shows a device that an NPU could be behind.
#[must_use]
pub fn node_exists() -> bool {
    first_node().is_some()
}

/// The soft limit of locked memory.
fn memlock(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// As the error for a caller.
pub(super) fn unavailable(why: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Unavailable { device: "xrt", why: why.into(), hint: hint.into() }
}

/// Why the device does not open.
pub(super) fn explain(failure: &Failure, machine: &Machine) -> Error {
    let said = &failure.why;
    let errno = match failure.cause {
        Cause::System(errno) => errno,
        _ => 0,
    };
    let refused = |kind| matches!(&machine.node, Some((_, Some(found))) if *found == kind);
    if matches!(errno, errno::EACCES | errno::EPERM) || refused(ErrorKind::PermissionDenied) {
        let node = machine.node.as_ref().map_or_else(|| PathBuf::from(NODES), |(path, _)| path.clone());
        return unavailable(
            format!("no permission to open {} ({said})", node.display()),
            "add the user to the group that owns it (mostly `sudo usermod -aG render $USER`) and log in again; in Docker, \
             `--device /dev/accel/accel0 --group-add $(getent group render | cut -d: -f3)`",
        );
    }
    let Some((node, _)) = &machine.node else {
        return if machine.driver {
            unavailable(
                format!("the driver amdxdna is loaded, but there is no node {NODES}/accel0 ({said})"),
                "see `sudo dmesg | grep amdxdna`: mostly the firmware is missing or the NPU is off in the BIOS; in Docker, give \
                 the container `--device /dev/accel/accel0`",
            )
        } else {
            unavailable(
                format!(
                    "the kernel has no NPU: there is no node {NODES}/accel0 and no driver amdxdna ({said})"
                ),
                "load the driver (`sudo modprobe amdxdna`; Linux 6.14 or newer has it), and check that the processor has an NPU and \
                 that the BIOS enables it",
            )
        };
    };
    if let Err(why) = &machine.plugin {
        return unavailable(
            format!("XRT has no plugin for NPUs: {why}"),
            "install it (Debian and Ubuntu: libxrt-npu2; AMD's own packages: xrt_plugin-amdxdna), of the same version as XRT",
        );
    }
    if errno == errno::EAGAIN {
        let limit =
            machine.memlock_bytes.map_or_else(|| "its limit".to_owned(), |bytes| format!("{bytes} bytes"));
        return unavailable(
            format!(
                "the device's heap of {HEAP_BYTES} bytes cannot be locked in memory; the memlock limit is {limit} ({said})"
            ),
            RAISE_MEMLOCK,
        );
    }
    let hint = if errno == errno::EINVAL {
        "update the kernel or XRT so that they fit each other, and see what `xrt-smi examine` and `sudo dmesg | grep amdxdna` say"
    } else {
        "see what `xrt-smi examine` and `sudo dmesg | grep amdxdna` say"
    };
    unavailable(format!("XRT does not open {}: {said}", node.display()), hint)
}

#[cfg(test)]
mod tests {
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
        let (none, low) =
            (Machine { node: None, ..healthy() }, Machine { memlock_bytes: Some(8 << 20), ..healthy() });
        let bare = Machine { node: None, driver: false, ..healthy() };
        let shut = Machine {
            node: Some(("/dev/accel/accel3".into(), Some(ErrorKind::PermissionDenied))),
            ..healthy()
        };
        let plugin = Machine { plugin: Err("libxrt_driver_xdna.so.2: no such file".into()), ..healthy() };
        for (failure, machine, why, hint) in [
            (system(13), healthy(), "no permission to open /dev/accel/accel0", "render"),
            (Failure::new(Cause::Runtime, "none"), shut, "no permission to open /dev/accel/accel3", "render"),
            (system(22), none, "driver amdxdna is loaded, but there is no node", "dmesg"),
            (system(22), bare, "no node /dev/accel/accel0 and no driver", "modprobe"),
            (system(22), plugin, "no plugin for NPUs: libxrt_driver", "libxrt-npu2"),
            (system(11), healthy(), "cannot be locked", "ulimit -l"),
            (system(11), low.clone(), "memlock limit is 8388608", "ulimit -l"),
            // Who may lock freely has a low limit, too.
            (system(22), low, "does not open", "xrt-smi"),
            (system(22), healthy(), "does not open /dev/accel/accel0: what XRT says", "xrt-smi"),
            (system(5), healthy(), "what XRT says", "dmesg"),
        ] {
            let Error::Unavailable { device, why: told, hint: advice } = explain(&failure, &machine) else {
                panic!("{failure:?}")
            };
            assert_eq!(device, "xrt");
            assert!(told.contains(why), "`{told}` lacks `{why}`");
            assert!(advice.contains(hint), "`{advice}` lacks `{hint}`");
        }
    }

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let of = |limit: &str| {
            memlock(&format!("Max processes  1 2 p\nMax locked memory         {limit}  3 bytes\n"))
        };
        assert_eq!((of("8388608"), of("unlimited"), memlock("")), (Some(8 << 20), None, None));
    }
}
