//! The tile unit in plain Rust, as Intel's manual describes it (volume 1 chapter 18, volume 2 `LDTILECFG`,
//! `TILELOADD`, `TILESTORED`, `TDPBF16PS`, `TDPBUSD`): what the kernels run on in tests.
//!
//! Stricter than a processor in one way: where that would fault, this panics and says which rule was broken. Not
//! modelled: which NaN a NaN becomes, and loads that are interrupted halfway (`start_row`).

use super::tiles::{ROW_BYTES, ROWS, TileConfig, Tiles};
use half::bf16;

/// Registers of palette 1.
const REGISTERS: usize = 8;

/// Rows and bytes of a row of a register; none where it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    rows: usize,
    row_bytes: usize,
}

/// Eight registers and their shapes.
pub(crate) struct Model {
    /// None until configured.
    shapes: Option<[Option<Shape>; REGISTERS]>,
    data: [[[u8; ROW_BYTES]; ROWS]; REGISTERS],
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { shapes: None, data: [[[0; ROW_BYTES]; ROWS]; REGISTERS] }
    }

    fn shape(&self, register: u8) -> Shape {
        let shapes = self.shapes.as_ref().expect("#UD: tiles are not configured");
        let shape = shapes.get(usize::from(register)).expect("#UD: no such register in palette 1");
        shape.unwrap_or_else(|| panic!("#UD: register {register} has no shape"))
    }

    /// Checks what a product demands, and returns rows of the result, groups of depth and columns.
    fn matching(&self, c: u8, a: u8, b: u8) -> (usize, usize, usize) {
        assert!(c != a && a != b && c != b, "#UD: a product wants three registers, not {c}, {a}, {b}");
        let (to, left, right) = (self.shape(c), self.shape(a), self.shape(b));
        for shape in [to, left, right] {
            assert!(shape.row_bytes.is_multiple_of(4), "#UD: rows of {} bytes", shape.row_bytes);
        }
        assert!(to.rows == left.rows, "#UD: {} rows of the left, {} of the result", left.rows, to.rows);
        assert!(to.row_bytes == right.row_bytes, "#UD: the right and the result differ in columns");
        assert!(left.row_bytes == 4 * right.rows, "#UD: the left and the right differ in depth");
        (to.rows, right.rows, to.row_bytes / 4)
    }

    fn word(&self, register: u8, row: usize, column: usize) -> [u8; 4] {
        let at = &self.data[usize::from(register)][row][4 * column..];
        [at[0], at[1], at[2], at[3]]
    }

    /// Writes the result: each row is zero beyond its columns, and so are the rows beyond the last.
    fn put(&mut self, register: u8, rows: usize, columns: usize, word: impl Fn(usize, usize) -> [u8; 4]) {
        let mut data = [[0; ROW_BYTES]; ROWS];
        for (i, row) in data.iter_mut().enumerate().take(rows) {
            for (j, to) in row.chunks_exact_mut(4).enumerate().take(columns) {
                to.copy_from_slice(&word(i, j));
            }
        }
        self.data[usize::from(register)] = data;
    }
}

/// Subnormal numbers count as zero of their sign.
fn flush(v: f32) -> f32 {
    if v.is_subnormal() { 0.0_f32.copysign(v) } else { v }
}

/// `a·b + c`, rounded once, to nearest even; subnormal operands and results are zero.
fn fused(a: f32, b: f32, c: f32) -> f32 {
    flush(flush(a).mul_add(flush(b), flush(c)))
}

fn pair(word: [u8; 4]) -> [f32; 2] {
    [[word[0], word[1]], [word[2], word[3]]].map(|half| bf16::from_le_bytes(half).to_f32())
}

impl Tiles for Model {
    unsafe fn configure(&mut self, config: &TileConfig) {
        assert_eq!(config.palette, 1, "#GP: palette");
        assert_eq!(config.reserved, [0; 14], "#GP: reserved bytes");
        let beyond = config.row_bytes[REGISTERS..].iter().any(|&v| v != 0)
            || config.rows[REGISTERS..].iter().any(|&v| v != 0);
        assert!(!beyond, "#GP: palette 1 has {REGISTERS} registers");
        assert_eq!(config.start_row, 0, "the kernels never go on with a load");
        let shape = |i: usize| {
            let (rows, row_bytes) = (usize::from(config.rows[i]), usize::from(config.row_bytes[i]));
            assert!(
                rows <= ROWS && row_bytes <= ROW_BYTES,
                "#GP: register {i} of {rows} × {row_bytes} bytes"
            );
            assert_eq!(rows == 0, row_bytes == 0, "#GP: register {i} of {rows} × {row_bytes} bytes");
            (rows > 0).then_some(Shape { rows, row_bytes })
        };
        *self = Self { shapes: Some(std::array::from_fn(shape)), ..Self::new() };
    }

    unsafe fn release(&mut self) {
        *self = Self::new();
    }

    unsafe fn zero<const T: u8>(&mut self) {
        self.shape(T);
        self.data[usize::from(T)] = [[0; ROW_BYTES]; ROWS];
    }

    unsafe fn load<const T: u8>(&mut self, from: *const u8, stride: usize) {
        let shape = self.shape(T);
        let mut data = [[0; ROW_BYTES]; ROWS];
        for (row, to) in data.iter_mut().enumerate().take(shape.rows) {
            // SAFETY: the caller vouches for as many bytes at this row.
            unsafe { from.add(row * stride).copy_to_nonoverlapping(to.as_mut_ptr(), shape.row_bytes) }
        }
        self.data[usize::from(T)] = data;
    }

    unsafe fn store<const T: u8>(&mut self, to: *mut u8, stride: usize) {
        let shape = self.shape(T);
        for (row, from) in self.data[usize::from(T)].iter().enumerate().take(shape.rows) {
            // SAFETY: the caller vouches for as many bytes at this row.
            unsafe { to.add(row * stride).copy_from_nonoverlapping(from.as_ptr(), shape.row_bytes) }
        }
    }

    unsafe fn dot_bf16<const C: u8, const A: u8, const B: u8>(&mut self) {
        let (rows, groups, columns) = self.matching(C, A, B);
        let before = self.data[usize::from(C)];
        let mut sums = [[0.0_f32; ROWS]; ROWS];
        for (i, row) in sums.iter_mut().enumerate().take(rows) {
            // All first products of the pairs, and all second ones; then both, then what was there.
            let mut halves = [[0.0_f32; 2]; ROWS];
            for p in 0..groups {
                let left = pair(self.word(A, i, p));
                for (j, sum) in halves.iter_mut().enumerate().take(columns) {
                    let right = pair(self.word(B, p, j));
                    *sum = [fused(left[0], right[0], sum[0]), fused(left[1], right[1], sum[1])];
                }
            }
            for (j, (to, [first, second])) in row.iter_mut().zip(halves).enumerate().take(columns) {
                let at = &before[i][4 * j..];
                let old = flush(f32::from_le_bytes([at[0], at[1], at[2], at[3]]));
                *to = flush(old + flush(first + second));
            }
        }
        self.put(C, rows, columns, |i, j| sums[i][j].to_le_bytes());
    }

    unsafe fn dot_u8_i8<const C: u8, const A: u8, const B: u8>(&mut self) {
        let (rows, groups, columns) = self.matching(C, A, B);
        let mut sums = [[0_i32; ROWS]; ROWS];
        for (i, row) in sums.iter_mut().enumerate().take(rows) {
            for (j, sum) in row.iter_mut().enumerate().take(columns) {
                *sum = i32::from_le_bytes(self.word(C, i, j));
                for p in 0..groups {
                    let pairs = self.word(A, i, p).into_iter().zip(self.word(B, p, j));
                    let four: i32 = pairs.map(|(a, b)| i32::from(a) * i32::from(b.cast_signed())).sum();
                    *sum = sum.wrapping_add(four);
                }
            }
        }
        self.put(C, rows, columns, |i, j| sums[i][j].to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Registers 0, 1 and 2 shaped for a product of 1 × 1 × 1 groups, and what one such product gives.
    fn one(before: [u8; 4], left: [u8; 4], right: [u8; 4], bf16: bool) -> [u8; 4] {
        let mut model = Model::new();
        let mut config = TileConfig::palette1([1, 1, 1, 0, 0, 0, 0, 0]);
        config.row_bytes[..3].fill(4);
        let mut after = [0; 4];
        // SAFETY: registers have one row of 4 bytes.
        unsafe {
            model.configure(&config);
            model.load::<0>(before.as_ptr(), 4);
            model.load::<1>(left.as_ptr(), 4);
            model.load::<2>(right.as_ptr(), 4);
            if bf16 {
                model.dot_bf16::<0, 1, 2>()
            } else {
                model.dot_u8_i8::<0, 1, 2>()
            }
            model.store::<0>(after.as_mut_ptr(), 4);
        }
        after
    }

    fn pairs(before: f32, left: [f32; 2], right: [f32; 2]) -> f32 {
        let bytes = |v: [f32; 2]| {
            let [a, b] = v.map(|v| bf16::from_f32(v).to_le_bytes());
            [a[0], a[1], b[0], b[1]]
        };
        f32::from_le_bytes(one(before.to_le_bytes(), bytes(left), bytes(right), true))
    }

    #[test]
    fn bf16_products_round_as_the_manual_says() {
        assert_eq!(pairs(0.5, [2.0, 3.0], [5.0, 7.0]), 31.5);
        // The pair is summed before it meets what was there: 2²⁴ + (1 + 1), not (2²⁴ + 1) + 1.
        assert_eq!(pairs(16_777_216.0, [1.0, 1.0], [1.0, 1.0]), 16_777_218.0);
        // Ties to even.
        assert_eq!(pairs(16_777_216.0, [1.0, 0.0], [1.0, 0.0]), 16_777_216.0);
        assert_eq!(pairs(16_777_218.0, [1.0, 0.0], [1.0, 0.0]), 16_777_220.0);
        // Subnormal operands, sums and results are zero of their sign.
        let (tiny, least) = (f32::MIN_POSITIVE / 2.0, f32::MIN_POSITIVE);
        assert_eq!(pairs(0.0, [tiny, 0.0], [1e30, 0.0]), 0.0);
        assert_eq!(pairs(tiny, [0.0; 2], [0.0; 2]), 0.0);
        assert_eq!(pairs(0.0, [least, 0.0], [0.5, 0.0]), 0.0);
        assert_eq!(pairs(0.0, [least, 0.0], [1.0, 0.0]), least);
        assert!(pairs(-0.0, [-least, 0.0], [0.5, 0.0]).to_bits() == 0, "−0 + (−0 + 0) is 0");
        assert_eq!(pairs(1.0, [f32::INFINITY, 0.0], [-1.0, 0.0]), f32::NEG_INFINITY);
        assert!(pairs(1.0, [f32::INFINITY, 0.0], [0.0, 0.0]).is_nan());
    }

    #[test]
    fn left_bytes_are_unsigned_and_right_ones_signed_and_sums_wrap() {
        let sum = |before: i32, left: [u8; 4], right: [i8; 4]| {
            i32::from_le_bytes(one(before.to_le_bytes(), left, right.map(i8::cast_unsigned), false))
        };
        assert_eq!(sum(5, [255, 127, 1, 0], [-128, 127, -3, 9]), 5 - 32_640 + 16_129 - 3);
        assert_eq!(sum(i32::MAX, [1, 0, 0, 0], [1, 0, 0, 0]), i32::MIN);
    }

    /// Runs `f` on a model with registers of 16 × 64 bytes and returns what it panics with.
    fn fault(f: impl FnOnce(&mut Model) + std::panic::UnwindSafe) -> String {
        let run = || {
            let mut model = Model::new();
            // SAFETY: touches the model only.
            unsafe { model.configure(&TileConfig::palette1([16, 16, 16, 8, 0, 0, 0, 0])) };
            f(&mut model);
        };
        let payload = std::panic::catch_unwind(run).expect_err("no fault");
        payload
            .downcast::<String>()
            .map_or_else(|other| other.downcast_ref::<&str>().unwrap().to_string(), |s| *s)
    }

    #[test]
    fn misuse_faults() {
        // SAFETY: each of these panics before it touches memory.
        unsafe {
            assert!(fault(|m| m.zero::<4>()).contains("#UD: register 4"));
            assert!(fault(|m| m.zero::<8>()).contains("#UD: no such register"));
            assert!(fault(|m| m.dot_u8_i8::<0, 0, 1>()).contains("three registers"));
            assert!(fault(|m| m.dot_u8_i8::<3, 0, 1>()).contains("16 rows of the left, 8 of the result"));
            assert!(fault(|m| m.dot_bf16::<0, 1, 3>()).contains("depth"));
            assert!(fault(|m| (m.release(), m.zero::<0>()).1).contains("not configured"));
            let with = |change: fn(&mut TileConfig)| {
                fault(move |m| {
                    let mut config = TileConfig::palette1([16; 8]);
                    change(&mut config);
                    m.configure(&config);
                })
            };
            assert!(with(|c| c.palette = 2).contains("#GP: palette"));
            assert!(with(|c| c.reserved[3] = 1).contains("#GP: reserved"));
            assert!(with(|c| c.rows[0] = 17).contains("#GP: register 0 of 17"));
            assert!(with(|c| c.row_bytes[7] = 65).contains("#GP: register 7"));
            assert!(with(|c| c.rows[2] = 0).contains("#GP: register 2 of 0"));
            assert!(with(|c| c.rows[8] = 1).contains("#GP: palette 1 has 8"));
        }
    }
}
