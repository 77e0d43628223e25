//! What things cost on the device, as published: the constants, and the time of one launch made of them.
//!
//! Nothing here was measured by this project. A launch takes
//! `launch + max(compute, stream, memory) + ends`; see [`Modelled`]. How near that comes to published measurements
//! is tested in [`gemm_cost`](crate::emulator::gemm_cost).
//!
//! Sources by short name: GEMM-P arXiv 2512.13282 · WX drakosha/whisper-xdna · XE atassis/xdna-engine · IRON amd/IRON ·
//! IGN jdominick05/ignite-xdna docs/SILICON.md · EMB hardWorker254/Npu-Embeddings-XDNA1 README · XDNA amd/xdna-driver.

use std::time::Duration;

use crate::Arch;
use crate::device::{LINE_BYTES, Modelled};
use crate::emulator::array::Work;

/// Contiguous bytes in main memory up to which a walk pays [`SHORT_RUN_WEIGHT`].
pub const SHORT_RUN_BYTES: usize = 112;
/// What a byte of a short run counts for: bf16 GEMM reaches 1.27 TOPS with runs of 112 bytes and 3.12 with 448
/// (GEMM-P §5).
pub const SHORT_RUN_WEIGHT: f64 = 1.0 / 0.41;

/// Constants of one machine. The fields may be changed: clocks and latencies differ between machines and power modes.
#[derive(Clone, Debug, PartialEq)]
pub struct CostModel {
    /// First launch of a submission, with the wake-up of who waits.
    pub first_launch: Duration,
    /// Each further launch of the same submission.
    pub chained_launch: Duration,
    /// Another context's configuration.
    pub context_switch: Duration,
    /// A new context.
    pub context_create: Duration,
    /// No progress for so long, and the driver stops everything.
    pub hang_limit: Duration,
    /// Cycles of the array in a second.
    pub clock_hz: f64,
    /// Main memory to the array, and as much the other way.
    pub ddr_bytes_per_second: f64,
    /// Flushing a line from the host's caches, seconds.
    pub flush_line_seconds: f64,
    /// Copying by one host core, for those who model their own host work.
    pub host_copy_bytes_per_second: f64,
}

impl CostModel {
    /// The constants of a generation.
    #[must_use]
    pub fn of(arch: Arch) -> Self {
        let npu1 = Self {
            // ≈150 a dispatch (EMB); 127 for 4 KB (Scottcjn/open-xdna); tiny operations 160–250 at best, with a tail
            // to 1.9 ms (IRON CI).
            first_launch: Duration::from_micros(150),
            // 28–34 thousand pipelined operations a second (xdna-driver#1355, EMB).
            chained_launch: Duration::from_micros(30),
            // 2.81 ms a pair (WX).
            context_switch: Duration::from_micros(1400),
            // WX.
            context_create: Duration::from_micros(2500),
            // tdr_timeout_ms (XDNA:drivers/accel/amdxdna/aie2_ctx.c:30).
            hang_limit: Duration::from_millis(2000),
            // GEMM-P; 0.8, 1.03 and 1.8 GHz were measured by power mode (IGN).
            clock_hz: 1.0e9,
            // GEMM-P, by its formula for A and B alone; 26–28 GB/s is the cap of one direction (IGN).
            ddr_bytes_per_second: 15e9,
            // Own estimate: 1.5 MB in 25–50 µs, warm to cold.
            flush_line_seconds: 1.5e-9,
            // Own estimate: 10–20 GB/s.
            host_copy_bytes_per_second: 15e9,
        };
        match arch {
            Arch::Aie2 => npu1,
            Arch::Aie2p => Self {
                // Floor of IRON flm/gemm on NPU2; the chained figure is taken over from npu1, for want of one.
                first_launch: Duration::from_micros(107),
                // XE, Krackan.
                context_switch: Duration::from_micros(2670),
                // GEMM-P §5; XDNA npu4 clock table.
                clock_hz: 1.8e9,
                // GEMM-P; 47–57 (XE).
                ddr_bytes_per_second: 50e9,
                ..npu1
            },
        }
    }

    /// Time of one launch that does `work`; `chained` if it is not the first of its submission.
    pub(crate) fn launch(&self, work: &Work, chained: bool) -> Modelled {
        let launch = if chained { self.chained_launch } else { self.first_launch };
        let compute = seconds(as_f64(work.compute_cycles) / self.clock_hz);
        let stream = seconds(as_f64(work.stream_cycles) / self.clock_hz);
        // The two directions do not share their bandwidth; the penalty is spread over both alike.
        let (read, written) = (as_f64(work.ddr_read_bytes), as_f64(work.ddr_written_bytes));
        let busier = read.max(written) / (read + written).max(1.0);
        let memory = seconds(as_f64(work.ddr_weighted_bytes) * busier / self.ddr_bytes_per_second);
        let ends =
            seconds((as_f64(work.prologue_bytes) + as_f64(work.drain_bytes)) / self.ddr_bytes_per_second);
        let run = compute.max(stream).max(memory);
        let device = launch.saturating_add(run).saturating_add(ends);
        Modelled { device, launch, run, compute, stream, memory, ends, ..Modelled::default() }
    }

    /// Flushing `len_bytes` from the host's caches: what a push or a pull is on this driver.
    #[must_use]
    pub fn flush(&self, len_bytes: usize) -> Duration {
        seconds(as_f64(len_bytes.div_ceil(LINE_BYTES) as u64) * self.flush_line_seconds)
    }

    /// Copying `len_bytes` on the host.
    #[must_use]
    pub fn host_copy(&self, len_bytes: usize) -> Duration {
        seconds(as_f64(len_bytes as u64) / self.host_copy_bytes_per_second)
    }
}

/// A span of so many seconds; the longest there is, where that does not fit or is no number.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[allow(clippy::cast_precision_loss)] // counts here are far below 2⁵³, and a model's last digits mean nothing
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_is_its_parts_and_the_longest_of_three_hides_the_others() {
        let costs = CostModel::of(Arch::Aie2);
        let work = Work {
            compute_cycles: 2_000_000,
            stream_cycles: 1_000_000,
            ddr_read_bytes: 15_000_000,
            ddr_written_bytes: 15_000_000,
            ddr_weighted_bytes: 30_000_000,
            prologue_bytes: 15_000,
            drain_bytes: 15_000,
            macs: 0,
        };
        let time = costs.launch(&work, false);
        let us = Duration::from_micros;
        assert_eq!((time.compute, time.stream, time.memory), (us(2000), us(1000), us(1000)));
        assert_eq!((time.run, time.ends, time.device), (us(2000), us(2), us(2152)));
        assert_eq!(costs.launch(&work, true).device, us(2032));
        // Twice the weight, all of it one way: four times the memory time.
        let short = Work { ddr_written_bytes: 0, ddr_weighted_bytes: 60_000_000, ..work };
        assert_eq!(costs.launch(&short, true).run, us(4000));
        assert_eq!(costs.launch(&Work::default(), false).device, us(150));
    }

    #[test]
    fn absurd_constants_give_long_times_and_no_panic() {
        let costs = CostModel { clock_hz: 0.0, ddr_bytes_per_second: -1.0, ..CostModel::of(Arch::Aie2p) };
        let work = Work { compute_cycles: 1, ddr_read_bytes: 1, ddr_weighted_bytes: 1, ..Work::default() };
        assert_eq!(costs.launch(&work, false).device, Duration::MAX);
    }

    #[test]
    fn a_megabyte_and_a_half_is_flushed_in_the_estimated_span() {
        let span = CostModel::of(Arch::Aie2).flush(1_500_000);
        assert!((Duration::from_micros(25)..Duration::from_micros(50)).contains(&span), "{span:?}");
    }
}
