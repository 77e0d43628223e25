//! What a launch costs the array: cycles and bytes for the virtual clock. Modelled, from the manifest's figures.

use std::collections::BTreeMap;

use super::l1::{A_L2_BYTES, C_BYTES, OBJECT_BYTES};
use super::parameters::Operation;
use super::worker::Job;
use crate::emulator::cost::{SHORT_RUN_BYTES, SHORT_RUN_WEIGHT};
use crate::kernel::manifest::{KernelSpec, Manifest};
use crate::kernel::{Channel, Program, Tap};
use crate::{Arch, Error, Result};

/// What a launch asks of the array; modelled, never measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Cycles of the busiest core.
    pub(crate) compute_cycles: u64,
    /// Cycles of the busiest stream, replays included.
    pub(crate) stream_cycles: u64,
    /// Bytes read from DDR.
    pub(crate) ddr_read_bytes: u64,
    /// Bytes written to DDR.
    pub(crate) ddr_written_bytes: u64,
    /// Both together, short runs counted for what they cost.
    pub(crate) ddr_weighted_bytes: u64,
    /// Bytes that must have come before any core can begin.
    pub(crate) prologue_bytes: u64,
    /// Bytes that are still to be written when the last core is done.
    pub(crate) drain_bytes: u64,
    /// Multiply-accumulates of all cores.
    pub(crate) macs: u64,
}

/// Bytes that a stream moves in a cycle (AM020: 32-bit streams).
const STREAM_BYTES: u64 = 4;

impl Work {
    /// The share that the program alone decides: everything but the cores' own work.
    pub(crate) fn of_program(program: &Program) -> Self {
        let mut work = Self::default();
        let mut streams: BTreeMap<(u8, u32), u64> = BTreeMap::new();
        for segment in &program.segments {
            let bytes = segment.tap.len_bytes() as u64;
            let (port, first) = match segment.channel {
                Channel::A(row) => ((0, row), A_L2_BYTES as u64),
                // The parameters and the first block.
                Channel::B(column) => ((1, column), 2 * OBJECT_BYTES as u64),
            };
            let stream = streams.entry(port).or_default();
            if *stream == 0 {
                work.prologue_bytes += bytes.min(first);
            }
            *stream += bytes * u64::from(segment.replay);
            work.ddr_read_bytes += bytes;
            work.ddr_weighted_bytes += weighted(&segment.tap);
        }
        for drain in &program.drains {
            let bytes = drain.tap.len_bytes() as u64;
            let stream = streams.entry((2, drain.column)).or_default();
            if *stream == 0 {
                work.drain_bytes += bytes.min(u64::from(program.rows) * C_BYTES as u64);
            }
            *stream += bytes;
            work.ddr_written_bytes += bytes;
            work.ddr_weighted_bytes += weighted(&drain.tap);
        }
        work.stream_cycles = streams.values().max().map_or(0, |bytes| bytes.div_ceil(STREAM_BYTES));
        work
    }
}

/// Bytes of a walk, more if its runs are short.
pub(crate) fn weighted(tap: &Tap) -> u64 {
    let bytes = tap.len_bytes() as u64;
    // Inner loops that go on where the run before ended make longer runs.
    let mut run = u64::from(tap.run_bytes);
    for dim in tap.dims.iter().rev().filter(|dim| dim.size != 1) {
        if u64::from(dim.stride_bytes) != run {
            break;
        }
        run *= u64::from(dim.size);
    }
    if run <= SHORT_RUN_BYTES as u64 { (bytes as f64 * SHORT_RUN_WEIGHT).ceil() as u64 } else { bytes }
}

/// Cycles of one kernel on one generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelCost {
    macs_per_cycle: f64,
    finish: f64,
    gelu: f64,
    softmax: f64,
    scale: f64,
}

impl KernelCost {
    /// From the manifest's figures; `None` if they lack the generation.
    pub(crate) fn of(kernel: &KernelSpec, arch: Arch) -> Option<Self> {
        Some(Self {
            macs_per_cycle: kernel.peak_macs.of(arch)? * kernel.efficiency.of(arch)?,
            finish: kernel.finish_cycles_per_element.of(arch)?,
            gelu: kernel.gelu_cycles_per_element.of(arch)?,
            softmax: kernel.softmax_cycles_per_element.of(arch)?,
            scale: kernel.scale_cycles_per_element.of(arch)?,
        })
    }

    /// Of one call that does `macs` and puts out `elements`.
    pub(crate) fn cycles(&self, macs: u64, elements: u64) -> u64 {
        (macs as f64 / self.macs_per_cycle + elements as f64 * self.finish).ceil() as u64
    }
}

/// Cycles of every operation of a streamed image.
#[derive(Clone, Debug)]
pub(crate) struct Costs(BTreeMap<Operation, KernelCost>);

/// Elements of an output tile.
const TILE: u64 = 64 * 64;

impl Costs {
    /// Of the image called `name`.
    ///
    /// # Errors
    /// [`Error::Image`] if the manifest lacks an operation.
    pub(crate) fn new(manifest: &Manifest, name: &str, arch: Arch) -> Result<Self> {
        let cost = |operation: Operation| {
            let mut kernels = manifest.kernels_of(name);
            let kernel = kernels.find(|kernel| kernel.op == Some(operation.number()));
            let cost = kernel.and_then(|kernel| KernelCost::of(kernel, arch));
            cost.map(|cost| (operation, cost)).ok_or_else(|| Error::Image {
                why: format!("the manifest has no figures for {operation:?} of image {name} on {arch:?}"),
            })
        };
        Operation::ALL.into_iter().map(cost).collect::<Result<_>>().map(Self)
    }

    /// Cycles and multiply-accumulates of a core's jobs.
    pub(crate) fn of_jobs(&self, jobs: &[Job]) -> (u64, u64) {
        let (mut cycles, mut macs) = (0.0, 0);
        // An idle job moves objects, which the streams' cycles count, and computes nothing.
        for job in jobs.iter().filter(|job| !job.parameters.idle) {
            let Some(cost) = self.0.get(&job.parameters.operation) else { continue };
            let steps = job.parameters.steps as u64;
            let scores = match job.parameters.operation {
                Operation::AttentionBf16 => 64 * 32,
                Operation::AttentionI8 => 64 * 64,
                _ => 0,
            };
            let macs_per_step = match job.parameters.operation {
                Operation::GemmBf16 => TILE * 32,
                Operation::GemmI8I32 | Operation::GemmI8Bf16 | Operation::GemmI8I8 => TILE * 64,
                // Q·Kᵀ and P·V, each 64 deep.
                Operation::AttentionBf16 | Operation::AttentionI8 => 2 * scores * 64,
            };
            // A scale of 1 means that none is needed.
            let scale = if job.parameters.scale == 1.0 { 0.0 } else { cost.scale };
            let finish = cost.finish + if job.parameters.gelu { cost.gelu } else { 0.0 };
            macs += steps * macs_per_step;
            cycles += (steps * macs_per_step) as f64 / cost.macs_per_cycle
                + (steps * scores) as f64 * (cost.softmax + scale)
                + TILE as f64 * finish;
        }
        (cycles.ceil() as u64, macs)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::emulator::array::parameters::Parameters;

    #[test]
    fn short_runs_weigh_more_unless_they_touch() {
        let weight = |run, loops: &[(u32, u32)]| weighted(&Tap::nested(0, 0, run, loops));
        assert_eq!(weight(116, &[(10, 1024)]), 1160);
        // The published slow point is a run of exactly 112 bytes: 1120 / 0.41.
        assert_eq!(weight(112, &[(10, 1024)]), 2732);
        // 100·64 / 0.41.
        assert_eq!(weight(64, &[(100, 1024)]), 15610);
        assert_eq!(weight(64, &[(50, 1024), (2, 64)]), 6400);
        assert_eq!(weight(64, &[(2, 4096), (1, 0), (50, 64)]), 6400);
        assert_eq!(weight(64, &[(50, 64), (2, 1024)]), 15610);
    }

    fn costs() -> Costs {
        let kernel = |operation: Operation| {
            format!(
                "[[kernel]]\nname = \"{operation:?}\"\nimage = \"x\"\nop = {}\npeak_macs = {{ aie2 = 128 }}\n\
                 efficiency = 0.5\nmmul = [4, 8, 4]\nfinish_cycles_per_element = 2\ngelu_cycles_per_element = 3\n\
                 softmax_cycles_per_element = 1.5\nscale_cycles_per_element = 0.5\n",
                operation.number()
            )
        };
        let text: String = Operation::ALL.into_iter().map(kernel).collect();
        // Not a whole manifest: figures alone, which the checks would refuse.
        let manifest: Manifest = toml::from_str(&format!("version = 1\n{text}")).unwrap();
        assert!(Costs::new(&manifest, "x", Arch::Aie2p).is_err());
        assert!(Costs::new(&manifest, "y", Arch::Aie2).unwrap_err().to_string().contains("GemmBf16"));
        Costs::new(&manifest, "x", Arch::Aie2).unwrap()
    }

    #[test]
    fn cycles_and_products_are_those_of_the_figures() {
        let job = |operation, gelu, idle, steps| {
            let parameters =
                Parameters { operation, gelu, residual: false, idle, steps, n_valid: 1, scale: 1.0 };
            Job { parameters, a: 0, b: 0 }
        };
        let of = |operation, gelu, steps| costs().of_jobs(&[job(operation, gelu, false, steps)]);
        let tile = 64 * 64;
        // 64 products a cycle, then two cycles for each of 4096 elements, or five with GELU.
        assert_eq!(of(Operation::GemmBf16, false, 4), (4 * tile * 32 / 64 + 2 * tile, 4 * tile * 32));
        assert_eq!(of(Operation::GemmBf16, true, 1), (tile * 32 / 64 + 5 * tile, tile * 32));
        assert_eq!(of(Operation::GemmI8I8, true, 3), (3 * tile * 64 / 64 + 5 * tile, 3 * tile * 64));
        // A block of 32 keys: 2048 scores of 64 products each, and as many again for the values.
        let scores = 64 * 32;
        assert_eq!(
            of(Operation::AttentionBf16, false, 10),
            (10 * (2 * scores * 64 / 64 + scores * 3 / 2) + 2 * tile, 10 * 2 * scores * 64)
        );
        assert_eq!(of(Operation::AttentionI8, false, 5), of(Operation::AttentionBf16, false, 10));
        let mut scaled = job(Operation::AttentionBf16, false, false, 10);
        scaled.parameters.scale = 0.5;
        assert_eq!(costs().of_jobs(&[scaled]).0, of(Operation::AttentionBf16, false, 10).0 + 10 * scores / 2);

        let [busy, idle] = [false, true].map(|idle| job(Operation::GemmI8I32, false, idle, 2));
        assert_eq!(costs().of_jobs(&[idle]), (0, 0));
        let (one, two) = (costs().of_jobs(&[busy]), costs().of_jobs(&[busy, idle, busy]));
        assert_eq!((2 * one.0, 2 * one.1), two);
    }
}
