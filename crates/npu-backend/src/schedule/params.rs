//! The parameter object that leads each output tile on the B stream: what the core does next, and with what.
//!
//! As the core sees it (4096 bytes, little endian): words 0 magic, 1 operation, 2 flags, 3 steps, 4 valid keys, 5 scale
//! (f32), 6 columns; f32 bias\[64\] at byte 256; f32 scale of each output column at byte 512. DDR holds it as the
//! memtile's reorder of B objects needs it ([`b_object_position`]).

use super::geometry::{B_OBJECT_BYTES, B_ROW_BYTES, TILE_COLUMNS};

/// First word of every parameter object; a core that reads another stops.
pub const MAGIC: u32 = 0x584E_5057;
const BIAS_AT: usize = 256;
const COLUMN_SCALE_AT: usize = 512;

/// Applies GELU before rounding.
pub const GELU: u32 = 1;
/// Adds a bf16 residual before rounding.
pub const RESIDUAL: u32 = 2;
/// The column has no work: it takes its objects and writes zeros.
pub const IDLE: u32 = 4;

/// What a core is told.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    /// Number of the operation in the manifest.
    pub op: u32,
    /// [`GELU`], [`RESIDUAL`], [`IDLE`].
    pub flags: u32,
    /// Objects of the inner loop.
    pub steps: u32,
    /// Keys that are not padding (attention).
    pub valid: u32,
    /// Scale of the scores (attention) or of the output (static requantise).
    pub scale: f32,
    /// Columns of the array.
    pub columns: u32,
    /// At most 64 values; missing ones are zero.
    pub bias: &'a [f32],
    /// At most 64 values; missing ones are zero.
    pub column_scale: &'a [f32],
}

impl Params<'_> {
    /// Writes the object into `object`, as DDR holds it.
    ///
    /// # Panics
    /// If `object` is not [`B_OBJECT_BYTES`] long.
    pub fn write(&self, object: &mut [u8]) {
        assert_eq!(object.len(), B_OBJECT_BYTES, "a parameter object");
        object.fill(0);
        let words = [MAGIC, self.op, self.flags, self.steps, self.valid, self.scale.to_bits(), self.columns];
        let mut put = |at: usize, word: u32| {
            let to = b_object_position(at);
            object[to..to + 4].copy_from_slice(&word.to_le_bytes());
        };
        words.iter().enumerate().for_each(|(index, &word)| put(4 * index, word));
        for (at, values) in [(BIAS_AT, self.bias), (COLUMN_SCALE_AT, self.column_scale)] {
            let values = values.iter().take(TILE_COLUMNS).enumerate();
            values.for_each(|(index, value)| put(at + 4 * index, value.to_bits()));
        }
    }
}

/// Where DDR holds byte `at` of a B object as the core sees it.
///
/// The memtile sends 4 row groups × 16 column groups × 8 rows × 8 bytes of an object of 32 rows × 128 bytes.
#[must_use]
pub fn b_object_position(at: usize) -> usize {
    let (row_group, column_group, row, byte) = (at / 1024, at % 1024 / 64, at % 64 / 8, at % 8);
    (row_group * 8 + row) * B_ROW_BYTES + column_group * 8 + byte
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_a_permutation() {
        let mut seen = vec![false; B_OBJECT_BYTES];
        (0..B_OBJECT_BYTES).for_each(|at| seen[b_object_position(at)] = true);
        assert!(seen.iter().all(|&s| s));
    }

    #[test]
    fn the_core_reads_what_was_said() {
        let bias: Vec<f32> = (0..64u8).map(f32::from).collect();
        let params = Params {
            op: 3,
            flags: GELU,
            steps: 8,
            valid: 1500,
            scale: 0.125,
            columns: 4,
            bias: &bias,
            column_scale: &[2.5],
        };
        let mut object = vec![1; B_OBJECT_BYTES];
        params.write(&mut object);
        let word = |at: usize| {
            let bytes: [u8; 4] = std::array::from_fn(|b| object[b_object_position(at + b)]);
            u32::from_le_bytes(bytes)
        };
        let head: Vec<u32> = (0..8).map(|w| word(4 * w)).collect();
        assert_eq!(head, [MAGIC, 3, 1, 8, 1500, 0.125f32.to_bits(), 4, 0]);
        assert_eq!(word(256 + 4 * 63), 63f32.to_bits());
        assert_eq!((word(512), word(516)), (2.5f32.to_bits(), 0));
    }
}
