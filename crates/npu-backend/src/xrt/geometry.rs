//! Which NPUs there are: one table, by the number on the PCI bus and by the name that the driver gives. What XRT lists and what
//! `transcribe doctor` finds are both looked up here.

use crate::{Arch, DeviceInfo};

/// A kind of NPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Npu {
    /// The processors that have it.
    pub processors: &'static str,
    /// Whose kernels it runs; `None` for generations that this program has none for.
    pub arch: Option<Arch>,
    /// PCI device id; the vendor is AMD (0x1022).
    device: u16,
    /// PCI revisions; all if empty.
    revisions: &'static [u8],
    /// What the driver calls it (the attribute `vbnv`), without a number of its own that follows a space.
    names: &'static [&'static str],
}

/// The first that fits counts. XDNA:drivers/accel/amdxdna/amdxdna_pci_drv.c has the numbers, npu*_regs.c the names: `RyzenAI-…`
/// of every function, and `NPU …` where the firmware tells what its fuses say. What drivers before that called `npu2` is Strix.
const NPUS: [Npu; 7] = [
    Npu {
        processors: "Phoenix or Hawk Point (XDNA)",
        arch: Some(Arch::Aie2),
        device: 0x1502,
        revisions: &[],
        names: &["RyzenAI-npu1", "RyzenAI-Phoenix", "NPU Phoenix", "NPU Hawk Point"],
    },
    Npu {
        processors: "Strix Halo (XDNA 2)",
        arch: Some(Arch::Aie2p),
        device: 0x17f0,
        revisions: &[0x11],
        names: &["RyzenAI-npu5", "NPU Strix Halo"],
    },
    Npu {
        processors: "Krackan (XDNA 2)",
        arch: Some(Arch::Aie2p),
        device: 0x17f0,
        revisions: &[0x20],
        names: &["RyzenAI-npu6", "NPU Krackan"],
    },
    Npu {
        processors: "Strix or Gorgon Point (XDNA 2)",
        arch: Some(Arch::Aie2p),
        device: 0x17f0,
        revisions: &[],
        names: &["RyzenAI-npu4", "RyzenAI-npu2", "NPU Strix", "NPU Gorgon Point"],
    },
    newer(0x17f1, &["RyzenAI-npu3", "RyzenAI-npu7", "RyzenAI-npu8"]),
    newer(0x17f2, &["RyzenAI-npu9", "RyzenAI-npu10", "RyzenAI-npu11"]),
    newer(0x17f3, &[]),
];

/// Ids of AIE4 besides those in the table; its names do not depend on them.
const NEWER: [u16; 3] = [0x1b0a, 0x1b0b, 0x1b0c];

const fn newer(device: u16, names: &'static [&'static str]) -> Npu {
    Npu { processors: "an NPU newer than this program", arch: None, device, revisions: &[], names }
}

/// By the numbers on the PCI bus; `None` for what the driver does not take.
#[must_use]
pub fn npu_by_pci(device: u16, revision: u8) -> Option<&'static Npu> {
    let device = if NEWER.contains(&device) { 0x17f1 } else { device };
    let fits =
        |npu: &&Npu| npu.device == device && (npu.revisions.is_empty() || npu.revisions.contains(&revision));
    NPUS.iter().find(fits)
}

/// By the driver's name.
#[must_use]
pub fn npu_by_name(name: &str) -> Option<&'static Npu> {
    let name = name.trim();
    // `NPU Krackan 2`; but a physical or virtual function (`-pf`, `-vf`) is one of a generation that has them.
    let family = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let family = family.strip_suffix(' ').unwrap_or(name);
    let family = family.strip_suffix("-pf").or(family.strip_suffix("-vf")).unwrap_or(family);
    NPUS.iter().find(|npu| npu.names.iter().any(|known| known.eq_ignore_ascii_case(family)))
}

/// Geometry and limits of the device that the driver calls so, if there are kernels for it (MLIR-AIE:AIETargetModel.h).
pub(super) fn info(name: &str) -> Option<DeviceInfo> {
    let arch = npu_by_name(name)?.arch?;
    // Contexts: `hwctx_limit` of XDNA:npu1_regs.c and npu4_regs.c.
    let (columns, contexts) = match arch {
        Arch::Aie2 => (4, 6),
        Arch::Aie2p => (8, 16),
    };
    Some(DeviceInfo {
        name: name.into(),
        arch,
        modelled: false,
        columns,
        cores_per_column: 4,
        core_memory_bytes: 64 << 10,
        memtile_bytes: 512 << 10,
        contexts,
        // What XRT puts into one chain (XRT:xrt_kernel.cpp:3745), and what a context queues (XDNA:aie2_pci.h:76).
        launches_per_chain: 24,
        queued_submissions: 4,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// Every `default_vbnv` and `rev_vbnv_tbl` of XDNA:drivers/accel/amdxdna/npu*_regs.c (856409c) and of
    /// XDNA:src/driver/amdxdna/npu*_regs.c, with the PCI device and revision that has it by amdxdna_pci_drv.c.
    const OF_THE_DRIVER: [(&str, u16, u8, Option<Arch>); 32] = [
        ("RyzenAI-npu1", 0x1502, 0x00, Some(Arch::Aie2)),
        ("NPU Phoenix", 0x1502, 0x00, Some(Arch::Aie2)),
        ("RyzenAI-npu4", 0x17f0, 0x10, Some(Arch::Aie2p)),
        ("RyzenAI-npu5", 0x17f0, 0x11, Some(Arch::Aie2p)),
        ("RyzenAI-npu6", 0x17f0, 0x20, Some(Arch::Aie2p)),
        ("NPU Strix", 0x17f0, 0x10, Some(Arch::Aie2p)),
        ("NPU Strix Halo", 0x17f0, 0x11, Some(Arch::Aie2p)),
        ("NPU Krackan", 0x17f0, 0x20, Some(Arch::Aie2p)),
        ("NPU Krackan 1", 0x17f0, 0x20, Some(Arch::Aie2p)),
        ("NPU Krackan 2", 0x17f0, 0x20, Some(Arch::Aie2p)),
        ("NPU Gorgon Point 1", 0x17f0, 0x10, Some(Arch::Aie2p)),
        ("NPU Gorgon Point 2", 0x17f0, 0x10, Some(Arch::Aie2p)),
        ("NPU Gorgon Point 3", 0x17f0, 0x10, Some(Arch::Aie2p)),
        ("RyzenAI-npu3", 0x17f1, 0x10, None),
        ("RyzenAI-npu3-pf", 0x17f2, 0x10, None),
        ("RyzenAI-npu3-vf", 0x17f3, 0x10, None),
        ("RyzenAI-npu3", 0x1b0a, 0x00, None),
        ("RyzenAI-npu3-pf", 0x1b0b, 0x00, None),
        ("RyzenAI-npu3-vf", 0x1b0c, 0x00, None),
        ("RyzenAI-npu7", 0x17f1, 0x11, None),
        ("RyzenAI-npu7-pf", 0x17f2, 0x11, None),
        ("RyzenAI-npu8", 0x17f1, 0x12, None),
        ("RyzenAI-npu8-pf", 0x17f2, 0x12, None),
        ("RyzenAI-npu9", 0x17f1, 0x13, None),
        ("RyzenAI-npu9-pf", 0x17f2, 0x13, None),
        ("RyzenAI-npu9-vf", 0x17f3, 0x13, None),
        ("RyzenAI-npu10", 0x17f1, 0x14, None),
        ("RyzenAI-npu10-pf", 0x17f2, 0x14, None),
        ("RyzenAI-npu10-vf", 0x17f3, 0x14, None),
        ("RyzenAI-npu11", 0x17f1, 0x15, None),
        ("RyzenAI-npu11-pf", 0x17f2, 0x15, None),
        ("RyzenAI-npu11-vf", 0x17f3, 0x15, None),
    ];

    #[test]
    fn every_name_of_the_driver_is_of_the_generation_that_its_number_has() {
        for (name, device, revision, arch) in OF_THE_DRIVER {
            let (named, numbered) = (npu_by_name(name), npu_by_pci(device, revision));
            assert_eq!(named.unwrap_or_else(|| panic!("{name}")).arch, arch, "{name}");
            assert_eq!(
                numbered.unwrap_or_else(|| panic!("{device:x}")).arch,
                arch,
                "{device:x} {revision:x}"
            );
            assert_eq!(info(name).map(|info| info.arch), arch, "{name}");
            assert_eq!(named.unwrap().arch.is_none(), numbered.unwrap().processors.contains("newer"));
        }
        // An old driver's.
        assert_eq!(npu_by_name("RyzenAI-npu2").unwrap().arch, Some(Arch::Aie2p));
    }

    #[test]
    fn a_part_of_a_name_is_no_name() {
        for name in
            ["", " ", "npu1", "RyzenAI-npu12", "RyzenAI-npu1 2 3x", "xilinx_u250_npu1", "NPU", "NPU 1"]
        {
            assert_eq!(npu_by_name(name), None, "{name}");
        }
        assert_eq!((npu_by_pci(0x1503, 0), npu_by_pci(0x15bf, 0)), (None, None));
    }

    #[test]
    fn geometry_follows_the_generation() {
        let cores = |name: &str| info(name).map(|info| (info.cores(), info.contexts));
        assert_eq!(cores("RyzenAI-npu1"), Some((16, 6)));
        assert_eq!(cores("NPU Strix Halo"), Some((32, 16)));
        assert_eq!(cores("RyzenAI-npu10"), None);
    }
}
