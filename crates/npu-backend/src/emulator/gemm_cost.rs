//! Matrix multiplications of published designs, so that the cost model can be held against published times.
//!
//! A design's work follows from its shape alone: arithmetic from cores, peak and efficiency, traffic from the tile
//! (GEMM-P §4: A is read once for each tile column of C, B once for each tile row). Padding to whole granules is
//! counted.

use crate::device::Modelled;
use crate::emulator::array::Work;
use crate::emulator::cost::{CostModel, SHORT_RUN_BYTES, SHORT_RUN_WEIGHT};

/// A GEMM of `m × k` by `k × n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub m: u64,
    /// Reduction.
    pub k: u64,
    /// Columns.
    pub n: u64,
}

impl Shape {
    /// Floating-point (or integer) operations: two for each multiply-accumulate.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // shapes of real layers are far below 2⁵³ operations
    pub fn operations(&self) -> f64 {
        2.0 * self.m as f64 * self.k as f64 * self.n as f64
    }
}

/// A whole-array, output-stationary GEMM.
#[derive(Clone, Debug, PartialEq)]
pub struct GemmDesign {
    /// Rows and columns of cores.
    pub cores: (u64, u64),
    /// What one core computes between two writes of C: rows, reduction, columns.
    pub tile: Shape,
    /// Contiguous reduction length fetched into a memtile, elements; a multiple of the tile's.
    pub fetched_k: u64,
    /// Bytes of an element of A, B and C in main memory.
    pub bytes: (u64, u64, u64),
    /// Multiply-accumulates per core and cycle at best.
    pub peak_macs: f64,
    /// Share of that which a design reaches in its inner loops.
    pub efficiency: f64,
}

impl GemmDesign {
    /// Modelled time of one launch.
    #[must_use]
    pub fn time(&self, shape: Shape, costs: &CostModel) -> Modelled {
        costs.launch(&self.work(shape), false)
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "cycles and bytes of a model: non-negative, and far below 2⁵³"
    )]
    fn work(&self, shape: Shape) -> Work {
        let (rows, columns) = (self.cores.0.max(1), self.cores.1.max(1));
        let padded = |length: u64, granule: u64| length.div_ceil(granule.max(1)) * granule.max(1);
        let (m, n) = (padded(shape.m, self.tile.m * rows), padded(shape.n, self.tile.n * columns));
        let k = padded(shape.k, self.fetched_k);
        let macs = m * k * n;
        let cycles = macs as f64 / ((rows * columns) as f64 * self.peak_macs * self.efficiency);
        let a = macs * self.bytes.0 / (self.tile.n * columns);
        let b = macs * self.bytes.1 / (self.tile.m * rows);
        let c = m * n * self.bytes.2;
        let weighted = |bytes: u64, run: u64| {
            if run <= SHORT_RUN_BYTES as u64 { bytes as f64 * SHORT_RUN_WEIGHT } else { bytes as f64 }
        };
        let weight = weighted(a, self.fetched_k * self.bytes.0)
            + weighted(b, self.fetched_k * self.bytes.1)
            + weighted(c, self.tile.n * columns * self.bytes.2);
        Work {
            compute_cycles: cycles as u64,
            stream_cycles: 0,
            ddr_read_bytes: a + b,
            ddr_written_bytes: c,
            ddr_weighted_bytes: weight as u64,
            prologue_bytes: self.fetched_k
                * (self.tile.m * rows * self.bytes.0 + self.tile.n * columns * self.bytes.1),
            drain_bytes: self.tile.m * rows * self.tile.n * columns * self.bytes.2,
            macs,
        }
    }
}

/// Modelled time of a design known by its fitted speed alone: `operations_per_second` holds whatever bounds it.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cycles: non-negative, below 2⁵³")]
pub fn fitted(shape: Shape, operations_per_second: f64, costs: &CostModel) -> Modelled {
    let cycles = shape.operations() / operations_per_second * costs.clock_hz;
    costs.launch(&Work { compute_cycles: cycles as u64, ..Work::default() }, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arch;

    const fn shape(m: u64, k: u64, n: u64) -> Shape {
        Shape { m, k, n }
    }

    fn npu1() -> CostModel {
        CostModel::of(Arch::Aie2)
    }

    /// Fails unless `got` is within `percent` of `want`.
    fn near(what: &str, got: f64, want: f64, percent: f64) {
        let off = (got / want - 1.0) * 100.0;
        assert!(
            off.abs() <= percent,
            "{what}: modelled {got:.4}, published {want:.4}: {off:+.1} %, bound {percent} %"
        );
    }

    fn micros(time: Modelled) -> f64 {
        time.device.as_secs_f64() * 1e6
    }

    /// GEMM-P table: tile, contiguous reduction, bytes, peak and reached MACs per cycle.
    fn gemm_p(
        tile: Shape,
        fetched_k: u64,
        bytes: (u64, u64, u64),
        peak_macs: f64,
        reached: f64,
    ) -> GemmDesign {
        GemmDesign { cores: (4, 4), tile, fetched_k, bytes, peak_macs, efficiency: reached / peak_macs }
    }

    /// One speed for all seven; the fixed part is the model's own launch.
    const FLM_OPERATIONS: f64 = 2.10e12;

    #[test]
    fn seven_points_of_irons_flm_gemm() {
        for (at, published) in [
            (shape(256, 512, 512), 218.0),
            (shape(512, 512, 1024), 390.0),
            (shape(512, 1024, 1024), 639.0),
            (shape(1024, 1024, 1024), 1071.0),
            (shape(1024, 2048, 1024), 2134.0),
            (shape(512, 1536, 1536), 1498.0),
            (shape(1024, 2560, 2560), 6364.0),
        ] {
            near(
                &format!("flm.GEMM {at:?}, µs"),
                micros(fitted(at, FLM_OPERATIONS, &npu1())),
                published,
                15.0,
            );
        }
    }

    /// Not among the points that the speed was fitted to, so a check of it: 10 %.
    #[test]
    fn the_fitted_speed_foretells_another_projects_512_cubed() {
        near("WX 512³ bf16, µs", micros(fitted(shape(512, 512, 512), FLM_OPERATIONS, &npu1())), 267.0, 10.0);
    }

    #[test]
    fn gemm_p_int8_4032_cubed() {
        let design = gemm_p(shape(112, 112, 112), 448, (1, 1, 1), 256.0, 212.5);
        near("GEMM-P int8, ms", micros(design.time(shape(4032, 4032, 4032), &npu1())) / 1e3, 20.1, 10.0);
    }

    #[test]
    fn gemm_p_bf16_about_4k_cubed_with_long_and_short_runs() {
        let at = shape(4224, 4032, 4224);
        for (fetched_k, tops) in [(224, 3.12), (56, 1.27)] {
            let design = gemm_p(shape(96, 56, 96), fetched_k, (2, 2, 2), 128.0, 99.8);
            let got = at.operations() / micros(design.time(at, &npu1())) / 1e6;
            near(&format!("GEMM-P bf16, runs of {} bytes, TOPS", 2 * fetched_k), got, tops, 10.0);
        }
    }

    /// Writing C in f32 is what takes the time here. The efficiency is that of WX's best shape (1761 GFLOP/s of 4096),
    /// and hidden. 10 %, as for GEMM-P.
    #[test]
    fn a_skinny_product_is_bound_by_writing_its_result() {
        let tile = shape(32, 64, 64);
        let design = GemmDesign {
            cores: (4, 4),
            tile,
            fetched_k: 64,
            bytes: (2, 2, 4),
            peak_macs: 128.0,
            efficiency: 0.43,
        };
        let at = shape(1536, 64, 1536);
        let time = design.time(at, &npu1());
        near("WX 1536×64×1536, GFLOP/s", at.operations() / micros(time) / 1e3, 386.0, 10.0);
        assert_eq!(time.run, time.memory);
    }

    /// XDNA2: one point, and its efficiency is taken from the same table, so this only says that neither memory nor the
    /// fixed costs hide it. 15 %, as for flm.
    #[test]
    fn xdna2_points() {
        let costs = CostModel::of(Arch::Aie2p);
        let design = GemmDesign {
            cores: (4, 8),
            tile: shape(144, 72, 144),
            fetched_k: 432,
            bytes: (1, 1, 1),
            peak_macs: 512.0,
            // 37.35 TOPS of 32 cores at 512 and 1.8 GHz; the table gives no cycles.
            efficiency: 0.65,
        };
        let at = shape(4032, 4320, 4608);
        let got = at.operations() / micros(design.time(at, &costs)) / 1e6;
        near("GEMM-P XDNA2 int8, TOPS", got, 37.35, 15.0);
    }
}
