//! What a device is, by the name that its driver gives it.

use crate::{Arch, DeviceInfo};

/// Geometry and limits, by the name that the driver gives (XDNA:src/driver/amdxdna/npu*_regs.c; MLIR-AIE:AIETargetModel.h).
pub(super) fn info(name: &str) -> Option<DeviceInfo> {
    let lower = name.to_lowercase();
    let any = |names: &[&str]| names.iter().any(|one| lower.contains(one));
    let (arch, columns, contexts) = if any(&["npu1", "phoenix", "hawk"]) {
        (Arch::Aie2, 4, 6)
    } else if any(&["npu2", "npu4", "npu5", "npu6", "strix", "krackan"]) {
        (Arch::Aie2p, 8, 16)
    } else {
        return None;
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
    use super::*;

    #[test]
    fn generations_are_known_by_the_drivers_names() {
        let arch = |name: &str| info(name).map(|info| (info.arch, info.cores()));
        assert_eq!(arch("RyzenAI-npu1"), Some((Arch::Aie2, 16)));
        assert_eq!(arch("NPU Phoenix"), Some((Arch::Aie2, 16)));
        assert_eq!(arch("NPU Strix Halo"), Some((Arch::Aie2p, 32)));
        assert_eq!(arch("RyzenAI-npu6"), Some((Arch::Aie2p, 32)));
        assert_eq!(arch("RyzenAI-npu3"), None);
        assert_eq!(arch("xilinx_u250"), None);
    }
}
