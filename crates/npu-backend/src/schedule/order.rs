//! Which operand of a product stays in the memtiles, and what that costs in DDR traffic.
//!
//! DDR is what a product of Whisper's shapes waits for: at d = 512, streaming both operands moves 1.2–1.5 times what
//! 15 GB/s carry while the cores compute.

use super::gemm::GemmProblem;
use super::geometry::{Grid, MEMTILE_A_BYTES, MEMTILE_B_BYTES, MEMTILE_BYTES, MEMTILE_C_BYTES, TILE_ROWS};
use crate::{Error, Result};

/// Loops of a product, and what the memtiles keep meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoopOrder {
    /// Blocks of rows outside: a block's A is read once; all weights once for each block.
    AResident,
    /// Panels of columns outside: a panel's weights are read once; all of A once for each panel.
    BResident,
    /// All of A stays, and one panel of weights: everything is read once.
    BothResident,
    /// Panels outside, and nothing stays: both operands are read for each block of each panel. For K too long to keep.
    Streamed,
}

impl LoopOrder {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AResident, Self::BResident, Self::BothResident, Self::Streamed];
}

/// Bytes that a product moves between DDR and the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Read.
    pub read_bytes: usize,
    /// Written.
    pub written_bytes: usize,
}

/// What `problem` moves in `order`.
#[must_use]
pub fn traffic(grid: Grid, problem: &GemmProblem, order: LoopOrder) -> Traffic {
    let (blocks, panels) = problem.blocks(grid);
    let a = problem.padded_rows(grid) * problem.a_row_bytes();
    let b = problem.b_len_bytes(grid);
    let c = problem.padded_rows(grid) * problem.c_row_bytes(grid);
    let residual = if problem.residual.is_some() { c } else { 0 };
    let read_bytes = match order {
        LoopOrder::AResident => a + blocks * b,
        LoopOrder::BResident => panels * a + b,
        LoopOrder::BothResident => a + b,
        LoopOrder::Streamed => panels * problem.tiles_of_a_panel() * a + blocks * b,
    };
    Traffic { read_bytes: read_bytes + residual, written_bytes: c }
}

/// Bytes of one memtile that `order` takes. A resident segment is held once: its objects are a ring, which the next
/// segment enters as the last replay leaves it.
#[must_use]
pub fn memtile_bytes(grid: Grid, problem: &GemmProblem, order: LoopOrder) -> usize {
    let (blocks, _) = problem.blocks(grid);
    let (a_block, b_panel) = (TILE_ROWS * problem.a_row_bytes(), problem.b_panel_bytes());
    let (a, b) = match order {
        LoopOrder::AResident => (a_block, MEMTILE_B_BYTES),
        // What is sent twice is kept.
        LoopOrder::BResident if problem.tiles_of_a_panel() > 1 => (a_block, b_panel),
        LoopOrder::BResident => (MEMTILE_A_BYTES, b_panel),
        LoopOrder::BothResident => (blocks * a_block, b_panel),
        LoopOrder::Streamed => (MEMTILE_A_BYTES, MEMTILE_B_BYTES),
    };
    MEMTILE_C_BYTES + a + b
}

/// Refuses an order that `problem` cannot run in.
///
/// # Errors
/// [`Error::Shape`] with the reason.
pub fn check(grid: Grid, problem: &GemmProblem, order: LoopOrder) -> Result<()> {
    let unfit = |why: String| Err(Error::Shape { why });
    let bytes = memtile_bytes(grid, problem, order);
    if bytes > MEMTILE_BYTES {
        return unfit(format!("{order:?} needs {bytes} bytes of each memtile, which has {MEMTILE_BYTES}"));
    }
    if problem.residual.is_some() && !matches!(order, LoopOrder::BResident | LoopOrder::Streamed) {
        return unfit(format!("a residual comes between blocks of A, which {order:?} keeps and repeats"));
    }
    if problem.tiles_of_a_panel() > 1 && order == LoopOrder::BothResident {
        return unfit(format!("{:?} takes each block of A twice in a row", problem.kind));
    }
    Ok(())
}

/// The order of least traffic that fits; [`LoopOrder::Streamed`] fits any product.
#[must_use]
pub fn choose(grid: Grid, problem: &GemmProblem) -> LoopOrder {
    let fitting = LoopOrder::ALL.into_iter().filter(|&order| check(grid, problem, order).is_ok());
    fitting.min_by_key(|&order| traffic(grid, problem, order).read_bytes).unwrap_or(LoopOrder::Streamed)
}
