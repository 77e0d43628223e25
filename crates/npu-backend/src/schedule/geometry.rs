//! Sizes of the objects on the array's streams. They are those of the overlay `encoder`, which every operation shares:
//! an object is bytes, and its type only a view of them.

use crate::DeviceInfo;

/// Rows of an A and a C object, and of an output tile.
pub const TILE_ROWS: usize = 64;
/// Columns of an output tile.
pub const TILE_COLUMNS: usize = 64;
/// Bytes of a row of an A object in a core.
pub const A_ROW_BYTES: usize = 64;
/// Bytes of a row of an A object in a memtile: four objects of a core. Runs from DDR are this long, because runs of
/// 112 bytes and less cost more than twice the time.
pub const A_L2_ROW_BYTES: usize = 256;
/// A B object: 32 rows of 128 bytes.
pub const B_OBJECT_BYTES: usize = 4096;
/// Bytes of a row of a B object as the memtile sees it.
pub const B_ROW_BYTES: usize = 128;
/// Bytes of a row of a C object.
pub const C_ROW_BYTES: usize = 128;
/// Memory of a memtile.
pub const MEMTILE_BYTES: usize = 512 * 1024;
/// The joined C objects of a column, which its memtile always holds.
pub const MEMTILE_C_BYTES: usize = 4 * TILE_ROWS * C_ROW_BYTES;
/// Two A objects in flight, where A is not resident.
pub const MEMTILE_A_BYTES: usize = 2 * TILE_ROWS * A_L2_ROW_BYTES;
/// Two B objects in flight, where B is not resident.
pub const MEMTILE_B_BYTES: usize = 2 * B_OBJECT_BYTES;
/// Bytes of the row scale's tail behind a row of int8 activations: one object of a memtile wide.
pub const ROW_SCALE_BYTES: usize = A_L2_ROW_BYTES;
/// Products of int8 that an int32 sum always holds: the last multiple of 256 below 2³¹ / (128 · 128).
pub const MAX_INT8_K: usize = 130_816;
/// The longest step of a shim's descriptor: 20 bits of words (mlir-aie: AIEXDialect.cpp, `verifyStridesWraps`).
pub const MAX_STEP_BYTES: usize = 4 << 20;

/// The cores that a plan spreads over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Columns: 4 on AIE2, 8 on AIE2P.
    pub columns: usize,
    /// Cores of a column.
    pub rows: usize,
}

impl Grid {
    /// All of a device.
    #[must_use]
    pub fn of(info: &DeviceInfo) -> Self {
        Self { columns: info.columns, rows: info.cores_per_column }
    }

    /// Rows of output that the grid makes at a time.
    #[must_use]
    pub fn block_rows(self) -> usize {
        self.rows * TILE_ROWS
    }

    /// Columns of output that the grid makes at a time.
    #[must_use]
    pub fn panel_columns(self) -> usize {
        self.columns * TILE_COLUMNS
    }
}
