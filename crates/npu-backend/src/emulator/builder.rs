//! How an emulator is opened: generation, arithmetic, caches, faults, limits, costs.

use crate::emulator::Emulator;
use crate::emulator::array::Arithmetic;
use crate::emulator::clock::Clock;
use crate::emulator::contexts::Contexts;
use crate::emulator::cost::CostModel;
use crate::emulator::executor::Executor;
use crate::emulator::faults::{FaultPlan, Faults, OpenFault};
use crate::emulator::memory::{Eviction, Limits, Memory};
use crate::emulator::queue::Queue;
use crate::emulator::receipt::Ledger;
use crate::{Arch, DeviceInfo, Error, Obstacle, Result};

/// Buffer memory unless [`Builder::capacity_bytes`] says otherwise. The emulator needs three times as much.
const CAPACITY_BYTES: usize = 4 << 30;

/// An emulator to be opened. Made by [`Emulator::builder`]: XDNA 1, fast arithmetic, strict caches, no faults, no
/// limit on locked memory.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    arch: Arch,
    arithmetic: Arithmetic,
    eviction: Eviction,
    faults: FaultPlan,
    memlock_bytes: Option<usize>,
    capacity_bytes: usize,
    costs: Option<CostModel>,
    probe: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            arch: Arch::Aie2,
            arithmetic: Arithmetic::default(),
            eviction: Eviction::default(),
            faults: FaultPlan::none(),
            memlock_bytes: None,
            capacity_bytes: CAPACITY_BYTES,
            costs: None,
            probe: false,
        }
    }
}

impl Builder {
    /// The generation to model.
    pub fn arch(self, arch: Arch) -> Self {
        Self { arch, ..self }
    }

    /// How kernels compute.
    pub fn arithmetic(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// How the host's caches behave.
    pub fn eviction(self, eviction: Eviction) -> Self {
        Self { eviction, ..self }
    }

    /// What goes wrong, and when.
    pub fn faults(self, faults: FaultPlan) -> Self {
        Self { faults, ..self }
    }

    /// The limit on locked memory (`ulimit -l`), bytes.
    pub fn memlock_bytes(self, limit: usize) -> Self {
        Self { memlock_bytes: Some(limit), ..self }
    }

    /// Memory for buffers and instruction streams, bytes.
    pub fn capacity_bytes(self, capacity_bytes: usize) -> Self {
        Self { capacity_bytes, ..self }
    }

    /// Constants of another machine than the generation's usual one.
    pub fn costs(self, costs: CostModel) -> Self {
        Self { costs: Some(costs), ..self }
    }

    /// Runs [probe programs](crate::emulator::probe) instead of kernels; needs no compiler.
    pub fn probe(self) -> Self {
        Self { probe: true, ..self }
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the array's kernels cannot be made ready, or a planned fault says so.
    pub fn open(self) -> Result<Emulator> {
        if let Some(fault) = self.faults.open_fault() {
            return Err(refused(fault));
        }
        let executor =
            if self.probe { Executor::Probe } else { Executor::array(self.arch, self.arithmetic)? };
        let info = info(self.arch);
        let limits = Limits {
            memlock_bytes: self.memlock_bytes,
            capacity_bytes: self.capacity_bytes,
            // AIE2_DEVM_SIZE (XDNA:npu1_regs.c:140); npu4's grows as it is used (npu4_regs.c:206).
            heap_bytes: if self.arch == Arch::Aie2 { 64 << 20 } else { 512 << 20 },
        };
        Ok(Emulator {
            executor,
            memory: Memory::new(self.eviction, limits),
            contexts: Contexts::new(info.contexts),
            queue: Queue::default(),
            clock: Clock::default(),
            costs: self.costs.unwrap_or_else(|| CostModel::of(self.arch)),
            faults: Faults::new(self.faults),
            ledger: Ledger::default(),
            last_context: None,
            wedged: false,
            lost: None,
            info,
        })
    }
}

/// Geometry and limits (MLIR-AIE:AIETargetModel.h; XDNA:npu1_regs.c:105, npu4_regs.c:174, aie2_pci.h:76;
/// XRT:xrt_kernel.cpp:3745).
fn info(arch: Arch) -> DeviceInfo {
    let (name, columns, contexts) = match arch {
        Arch::Aie2 => ("emulator of XDNA 1 (Phoenix): 4 columns of 4 cores", 4, 6),
        Arch::Aie2p => ("emulator of XDNA 2 (Strix): 8 columns of 4 cores", 8, 16),
    };
    DeviceInfo {
        name: name.into(),
        arch,
        modelled: true,
        columns,
        cores_per_column: 4,
        core_memory_bytes: 64 << 10,
        memtile_bytes: 512 << 10,
        contexts,
        launches_per_chain: 24,
        queued_submissions: 4,
    }
}

fn refused(fault: OpenFault) -> Error {
    let (why, hint) = match fault {
        OpenFault::NoNode => (
            "there is no device node /dev/accel/accel0 (ENOENT)",
            "load the amdxdna driver, and check that the processor has an NPU and the firmware setup enables it",
        ),
        OpenFault::Permission => (
            "no permission to open /dev/accel/accel0 (EACCES)",
            "add the user to the group `render` and log in again",
        ),
    };
    Error::Unavailable { device: "emulator", obstacle: Obstacle::Other, why: why.into(), hint: hint.into() }
}
