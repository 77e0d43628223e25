//! Whether products by tiles are right on this processor: small ones, at their first use in a process.
//!
//! Whole numbers, small enough for every sum to be exact: there is one right answer for each, to the last bit.

use crate::kernels::{Number, PANEL, Tile};
use crate::level::Level;
use half::bf16;
use std::sync::OnceLock;

/// Groups of the depth: a whole step of the tile registers, and a rest.
const GROUPS: usize = 17;
/// What sums begin with where a product is added.
const BEFORE: i32 = 5;

/// What `level` multiplies wrongly, or `None`. A level of tiles is tried once per process.
pub(crate) fn fault(level: Level) -> Option<&'static str> {
    static ANSWER: OnceLock<Option<String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| {
            let _tiles = level.hold_tiles();
            find_fault(level.tile_rows(), |number, a, stride, b, depth, c, add| {
                level.multiply(number, a, stride, b, depth, c, PANEL, add);
            })
        })
        .as_deref()
}

/// Tries `multiply(number, a, stride, b, depth, c, accumulate)` on tiles of `rows`.
fn find_fault(
    rows: usize,
    multiply: impl Fn(Number, &[u8], usize, &[u8], usize, &mut [f32], bool),
) -> Option<String> {
    for (number, add) in [(Number::U8, false), (Number::Bf16, false), (Number::Bf16, true)] {
        let depth = GROUPS * number.group();
        // Different from row to row and from column to column; bytes up to both their ends.
        let left = |row: usize, k: usize| (row * 37 + k * 101) % 256;
        let right = |k: usize, column: usize| (k * 53 + column * 29) % 256;
        let signed = |v: usize| i32::from(v as u8 as i8);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for row in 0..rows {
            (0..depth).for_each(|k| match number {
                Number::U8 => a.push(left(row, k) as u8),
                _ => a.extend(bf16::from_f32(signed(left(row, k)) as f32).to_le_bytes()),
            });
        }
        for k in (0..depth).step_by(number.group()) {
            for (column, k) in (0..PANEL).flat_map(|column| (k..k + number.group()).map(move |k| (column, k)))
            {
                match number {
                    Number::U8 => b.push(right(k, column) as u8),
                    _ => b.extend(bf16::from_f32(signed(right(k, column)) as f32).to_le_bytes()),
                }
            }
        }
        let mut sums = Tile::new();
        sums.0.fill(BEFORE as f32);
        multiply(number, &a, depth * number.size(), &b, depth, &mut sums.0[..rows * PANEL], add);
        for (i, got) in sums.0[..rows * PANEL].iter().enumerate() {
            let (row, column) = (i / PANEL, i % PANEL);
            let a = |k| if number == Number::U8 { left(row, k) as i32 } else { signed(left(row, k)) };
            let products = (0..depth).map(|k| a(k) * signed(right(k, column)));
            let want = products.sum::<i32>() + if add { BEFORE } else { 0 };
            if *got != want as f32 {
                let what = if number == Number::U8 { "8 bits" } else { "bf16" };
                return Some(format!("its products of {what} are wrong here: {got} for {want} in row {row}"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::print_stderr,
        reason = "tests; levels that are not there are named"
    )]
    use super::*;

    /// Right on the model and on AVX-512, which has tiles of its own height; and a single wrong sum is seen.
    #[test]
    fn right_products_pass_and_each_wrong_sum_is_seen() {
        let Some(model) = Level::modelled_amx() else {
            eprintln!("skipped: no AVX-512 with VNNI and BF16");
            return;
        };
        for level in [model, Level::new(crate::LevelKind::Avx512).unwrap()] {
            let rows = level.tile_rows();
            let _tiles = level.hold_tiles();
            let tried = |wrong: Option<(Number, usize)>| {
                find_fault(rows, |number, a, stride, b, depth, c, add| {
                    level.multiply(number, a, stride, b, depth, c, PANEL, add);
                    if let Some((_, at)) = wrong.filter(|(which, _)| *which == number) {
                        c[at] += 1.0;
                    }
                })
            };
            assert_eq!(tried(None), None, "{level}");
            for at in [0, 31, 5 * PANEL + 3, rows * PANEL - 1] {
                assert!(tried(Some((Number::U8, at))).unwrap().contains("8 bits"), "{level} {at}");
                assert!(tried(Some((Number::Bf16, at))).unwrap().contains("bf16"), "{level} {at}");
            }
        }
    }
}
