//! The rules about the NPU itself, from the kernel's driver to the firmware: facts in, findings out.
//!
//! Sources: amd/xdna-driver (`README.md` for kernels, locked memory and stale firmware; `amdxdna_pci_drv.c` for the devices
//! that the driver takes and the folders of their firmware; `amdxdna_sysfs.c` for `fw_version`).

use npu_backend::Arch;
use npu_backend::xrt::npu_by_pci;

use super::facts::{Facts, Group, Limit, Node, Npu, Refusal};
use super::finding::{Check, Finding};

/// Name of the driver.
pub(super) const DRIVER: &str = "amdxdna";
/// The first kernel that AMD's own package of the driver builds for.
const FIRST_KERNEL: (u32, u32) = (6, 10);
/// The first kernel that brings the driver along.
const FIRST_WITH_DRIVER: (u32, u32) = (6, 14);
/// The last kernel whose own driver lacks DRM_IOCTL_AMDXDNA_GET_ARRAY, which newer plugins of XRT call.
const LAST_WITHOUT_ARRAY: (u32, u32) = (6, 17);
/// What the driver's library locks for instructions alone on every start (`AIE2_DEVM_SIZE`); buffers come on top.
const INSTRUCTION_HEAP: u64 = 64 << 20;

/// A kind of NPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The processors that have it.
    pub(super) name: &'static str,
    /// Folder name of its kernels; `None` for what is newer than this program.
    pub(super) generation: Option<&'static str>,
}

/// Which NPU the driver takes a PCI device for; `None` if for none.
pub(super) fn kind(device: u16, revision: u8) -> Option<Kind> {
    let npu = npu_by_pci(device, revision)?;
    Some(Kind { name: npu.processors, generation: npu.arch.map(Arch::folder) })
}

/// The NPU that a program would get: the first.
pub(super) fn chosen(facts: &Facts) -> Option<(&Npu, Kind)> {
    facts.npus.iter().find_map(|npu| Some((npu, kind(npu.device, npu.revision)?)))
}

/// Why nothing below the bus is looked at.
pub(super) const NO_NPU: &str = "there is no NPU";

pub(super) fn driver(facts: &Facts) -> Finding {
    if !facts.linux {
        return Finding::unchecked(Check::Driver, "this program drives NPUs on Linux only");
    }
    let kernel = facts.kernel.as_deref().unwrap_or("of unknown release");
    let release = facts.kernel.as_deref().and_then(release);
    if let Some(driver) = &facts.driver {
        let version = driver.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        // AMD's package of the driver says its version, the kernel's own does not.
        let note = match release {
            Some(release) if release <= LAST_WITHOUT_ARRAY && driver.version.is_none() => {
                "; as this kernel brings it along, it lacks a call (GET_ARRAY) that newer plugins of XRT make: take both from one source"
            }
            _ => "",
        };
        return Finding::ok(Check::Driver, format!("{DRIVER}{version} is loaded, Linux {kernel}{note}"));
    }
    if facts.npus.is_empty() {
        return Finding::unchecked(Check::Driver, format!("{NO_NPU} to drive; Linux {kernel}"));
    }
    let what = format!("{DRIVER} is not loaded, Linux {kernel}");
    let fix = match release {
        Some(release) if release < FIRST_KERNEL => {
            "update to Linux 6.14 or later, which has the driver (6.10 at least, with AMD's package of it: github.com/amd/xdna-driver)"
        }
        Some(release) if release < FIRST_WITH_DRIVER => {
            "update to Linux 6.14 or later, which has the driver, or install AMD's package of it (github.com/amd/xdna-driver)"
        }
        _ => {
            "load it with `sudo modprobe amdxdna`; if there is no such module, the kernel was built without CONFIG_DRM_ACCEL_AMDXDNA"
        }
    };
    Finding::problem(Check::Driver, what, fix)
}

/// Major and minor number of a kernel's release.
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

pub(super) fn npu(facts: &Facts) -> Finding {
    if !facts.linux {
        return Finding::unchecked(Check::Npu, "this program drives NPUs on Linux only");
    }
    let Some((npu, kind)) = chosen(facts) else {
        return Finding::problem(
            Check::Npu,
            "no NPU of AMD's is on the PCI bus",
            "if the processor has one (Ryzen 7040, 8040, AI 300 and later), switch it on in the firmware setup (NPU or IPU); \
             virtual machines show none",
        );
    };
    let what =
        format!("{} at {} (1022:{:04x}, revision {:02x})", kind.name, npu.address, npu.device, npu.revision);
    match npu.driver.as_deref() {
        _ if kind.generation.is_none() => {
            Finding::problem(Check::Npu, what, "use --device cpu: this program has no kernels for it")
        }
        Some(DRIVER) => Finding::ok(Check::Npu, what),
        Some(other) => Finding::problem(
            Check::Npu,
            format!("{what} is taken by the driver {other}"),
            format!(
                "give it back: unbind it from {other} (a virtual machine may hold it), then `sudo modprobe {DRIVER}`"
            ),
        ),
        None if facts.driver.is_some() => Finding::problem(
            Check::Npu,
            format!("{what} was refused by the driver"),
            format!(
                "see `sudo dmesg | grep {DRIVER}`: mostly the firmware /lib/firmware/amdnpu/{:04x}_{:02x}/npu.sbin is missing \
                 (package linux-firmware), or the IOMMU is off",
                npu.device, npu.revision
            ),
        ),
        // That the driver is missing has been said.
        None => Finding::ok(Check::Npu, format!("{what}, which no driver has taken yet")),
    }
}

/// The node of the chosen NPU, or why there is none to look at.
fn node_of(facts: &Facts) -> Result<(&Npu, &Node), &'static str> {
    let (npu, _) = chosen(facts).ok_or(NO_NPU)?;
    let node = npu.node.as_ref().ok_or("the driver has made no node")?;
    Ok((npu, node))
}

pub(super) fn node(facts: &Facts) -> Finding {
    match node_of(facts) {
        Err(NO_NPU) => Finding::unchecked(Check::Node, NO_NPU),
        Err(why) if chosen(facts).is_some_and(|(npu, _)| npu.driver.as_deref() == Some(DRIVER)) => {
            Finding::problem(
                Check::Node,
                why,
                format!(
                    "see `sudo dmesg | grep {DRIVER}`; load the driver again with `sudo modprobe -r {DRIVER} && sudo modprobe {DRIVER}`"
                ),
            )
        }
        Err(_) => Finding::unchecked(Check::Node, "no driver has taken the NPU"),
        Ok((_, node)) if node.exists => Finding::ok(Check::Node, node.path.display().to_string()),
        Ok((_, node)) => Finding::problem(
            Check::Node,
            format!("the kernel has {0}, but it is not there", node.path.display()),
            format!(
                "in a container, start it with `--device {}`; elsewhere, see that udev runs",
                node.path.display()
            ),
        ),
    }
}

pub(super) fn permission(facts: &Facts) -> Finding {
    let node = match node_of(facts) {
        Ok((_, node)) if node.exists => node,
        _ => return Finding::unchecked(Check::Permission, "there is no node"),
    };
    let path = node.path.display();
    match &node.opens {
        Ok(()) => Finding::ok(Check::Permission, format!("{path} opens for reading and writing")),
        Err(Refusal::Permission) => {
            let (what, fix) = refused(facts, node);
            Finding::problem(Check::Permission, format!("{path} may not be opened: {what}"), fix)
        }
        Err(Refusal::Other(why)) => Finding::problem(
            Check::Permission,
            format!("{path} does not open: {why}"),
            format!(
                "see `sudo dmesg | grep {DRIVER}`; a container also needs a rule for the device (`--device {path}`)"
            ),
        ),
    }
}

/// Why permission is denied, by the node's group.
fn refused(facts: &Facts, node: &Node) -> (String, String) {
    let user = facts.user.name.as_deref().unwrap_or("$USER");
    let Some(Group { id, name, members }) = &node.group else {
        return ("this user has no right to it".into(), "run as its owner, or change its mode".into());
    };
    let shown = name.clone().unwrap_or_else(|| format!("number {id}"));
    if facts.user.groups.contains(id) {
        let what = format!("this process is in its group {shown}, and the group has no right to it either");
        return (
            what,
            format!("give it one: `sudo chmod g+rw {}`, or a udev rule that does", node.path.display()),
        );
    }
    if members.iter().any(|member| member == user) {
        let what = format!("{user} is in its group {shown}, but was not yet at login");
        return (what, format!("log out and in again, or run `newgrp {shown}`"));
    }
    let what = format!("{user} is not in its group {shown}");
    let fix = match name {
        Some(name) => format!(
            "`sudo usermod -aG {name} {user}`, then log out and in again (in a container: `--group-add {id}`)"
        ),
        None => format!("the group has no name here, as in a container: start it with `--group-add {id}`"),
    };
    (what, fix)
}

pub(super) fn locked_memory(facts: &Facts) -> Finding {
    if chosen(facts).is_none() {
        return Finding::unchecked(Check::LockedMemory, NO_NPU);
    }
    if facts.user.locks_freely {
        return Finding::ok(Check::LockedMemory, "no limit binds this process (CAP_IPC_LOCK)");
    }
    let Some(Limit { soft, hard }) = facts.memlock else {
        return Finding::unchecked(Check::LockedMemory, "the limits of this process cannot be read");
    };
    let Some(soft) = soft else { return Finding::ok(Check::LockedMemory, "unlimited") };
    let size = |bytes: u64| format!("{} KiB", bytes >> 10);
    if soft > INSTRUCTION_HEAP {
        let what = format!("at most {}; large models may need more (`ulimit -l unlimited`)", size(soft));
        return Finding::ok(Check::LockedMemory, what);
    }
    let what = format!(
        "at most {} may be locked, and the NPU's instructions alone take {}: buffers fail with \"resource temporarily unavailable\"",
        size(soft),
        size(INSTRUCTION_HEAP)
    );
    let fix = if hard.is_none_or(|hard| hard > INSTRUCTION_HEAP) {
        "run `ulimit -l unlimited` (or as far as the hard limit goes) in the shell before this program".into()
    } else {
        let user = facts.user.name.as_deref().unwrap_or("*");
        format!(
            "put the lines `{user} soft memlock unlimited` and `{user} hard memlock unlimited` into \
             /etc/security/limits.d/99-amdxdna.conf, and LimitMEMLOCK=infinity into `sudo systemctl edit user@.service`; \
             log in again (in a container: `--ulimit memlock=-1`)"
        )
    };
    Finding::problem(Check::LockedMemory, what, fix)
}

pub(super) fn firmware(facts: &Facts) -> Finding {
    let Some((npu, _)) = chosen(facts) else { return Finding::unchecked(Check::Firmware, NO_NPU) };
    if npu.driver.as_deref() != Some(DRIVER) {
        return Finding::unchecked(Check::Firmware, "no driver has started it");
    }
    match npu.firmware.as_deref() {
        Some(version)
            if version.split('.').any(|part| part.parse::<u32>().is_ok_and(|number| number > 0)) =>
        {
            Finding::ok(Check::Firmware, version)
        }
        other => Finding::problem(
            Check::Firmware,
            match other {
                Some(version) => format!("its version reads {version}: it does not run"),
                None => "the driver tells no version of it".into(),
            },
            format!(
                "update linux-firmware (amdnpu/{:04x}_{:02x}) together with the driver, and power the machine off and on: \
                 firmware that hangs survives a reboot",
                npu.device, npu.revision
            ),
        ),
    }
}
