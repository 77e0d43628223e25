//! Products by tiles: 32 rows of the left operand times one panel of weights.
//!
//! Four registers hold the sums (2×2 of 16 rows × 16 columns), two the left operand's rows, two the panel's halves:
//! each of the four loads of a step serves two products. A panel of packed weights, `[groups][32]` of 4 bytes (pairs
//! of bf16, quads of i8), is already what the right operand must look like, two registers side by side.
//!
//! ```text
//!              B0 B1      16 groups × 16 columns each, 128 bytes from row to row
//!         A0   C0 C1      rows  0..16
//!         A1   C2 C3      rows 16..32
//! ```

use super::tiles::{ROW_BYTES, ROWS, TileConfig, Tiles};
use crate::kernels::PANEL;

/// Rows of a product: two tile registers.
pub(crate) const HEIGHT: usize = 2 * ROWS;
/// Bytes of a group: a pair of bf16, a quad of i8; as many in f32 and i32, the sums.
pub(crate) const GROUP: usize = 4;
/// Groups of a step over the depth: a row of a register.
const STEP: usize = ROW_BYTES / GROUP;
/// Bytes from one row of a panel, and of the sums, to the next.
const PANEL_BYTES: usize = PANEL * GROUP;

// Two registers side by side make a panel.
const _: () = assert!(PANEL_BYTES == 2 * ROW_BYTES);

/// What is multiplied, and which instruction does it.
pub(crate) trait Dot {
    /// # Safety
    /// As [`Tiles`].
    unsafe fn dot<T: Tiles, const C: u8, const A: u8, const B: u8>(tiles: &mut T);
}

/// Pairs of bf16, summed in f32.
pub(crate) struct Bf16Pairs;

impl Dot for Bf16Pairs {
    #[inline(always)]
    unsafe fn dot<T: Tiles, const C: u8, const A: u8, const B: u8>(tiles: &mut T) {
        // SAFETY: the contracts are the same.
        unsafe { tiles.dot_bf16::<C, A, B>() }
    }
}

/// Quads of signed bytes, summed in i32.
pub(crate) struct I8Quads;

impl Dot for I8Quads {
    #[inline(always)]
    unsafe fn dot<T: Tiles, const C: u8, const A: u8, const B: u8>(tiles: &mut T) {
        // SAFETY: the contracts are the same.
        unsafe { tiles.dot_i8::<C, A, B>() }
    }
}

/// The configuration for a product of `rows` rows, 1 to 32: registers have no more rows than there are, so nothing
/// behind the last is read or written.
pub(crate) fn config(rows: usize) -> TileConfig {
    assert!((1..=HEIGHT).contains(&rows), "{rows} rows in {HEIGHT}");
    let (upper, lower) = (rows.min(ROWS) as u8, rows.saturating_sub(ROWS) as u8);
    let right = ROWS as u8;
    TileConfig::palette1([upper, upper, lower, lower, upper, lower, right, right])
}

/// Sixteen rows of 64 bytes where a register can load them whole.
#[repr(C, align(64))]
struct Padded<const BYTES: usize>([u8; BYTES]);

/// `c[rows][32] = a[rows][groups] · b[groups][32]`: `a` at `a_stride` bytes a row, `b` a panel, `c` f32 or i32 in
/// rows of 128 bytes.
///
/// A last step of less than 16 groups goes through copies padded with zeros: reading on would run into what follows
/// in memory, and zeros times what is not finite are not zero.
///
/// # Safety
/// The instructions; the registers are configured as [`config`] of `rows` says. `a` holds `rows` rows of `groups`
/// groups, `b` `groups` rows of 128 bytes, `c` has room for `rows` rows of 128 bytes.
#[inline(always)]
pub(crate) unsafe fn product<T: Tiles, D: Dot>(
    tiles: &mut T,
    rows: usize,
    a: *const u8,
    a_stride: usize,
    b: *const u8,
    groups: usize,
    c: *mut u8,
) {
    // SAFETY: step s reads groups 16·s..16·s + 16 ≤ groups of `a`'s rows and `b`, or of padded copies.
    unsafe {
        // Which registers exist does not change within a product: two loops rather than a branch in one.
        if rows > ROWS {
            tiles.zero::<0>();
            tiles.zero::<1>();
            tiles.zero::<2>();
            tiles.zero::<3>();
            steps::<T, D, true>(tiles, rows, a, a_stride, b, groups);
            tiles.store::<2>(c.add(ROWS * PANEL_BYTES), PANEL_BYTES);
            tiles.store::<3>(c.add(ROWS * PANEL_BYTES + ROW_BYTES), PANEL_BYTES);
        } else {
            tiles.zero::<0>();
            tiles.zero::<1>();
            steps::<T, D, false>(tiles, rows, a, a_stride, b, groups);
        }
        tiles.store::<0>(c, PANEL_BYTES);
        tiles.store::<1>(c.add(ROW_BYTES), PANEL_BYTES);
    }
}

/// Adds the whole depth to the sums; `BOTH` when the lower registers exist.
///
/// # Safety
/// As [`product`].
#[inline(always)]
unsafe fn steps<T: Tiles, D: Dot, const BOTH: bool>(
    tiles: &mut T,
    rows: usize,
    a: *const u8,
    a_stride: usize,
    b: *const u8,
    groups: usize,
) {
    let (whole, rest) = (groups / STEP, groups % STEP);
    // SAFETY: whole steps read groups below 16 · whole; the rest reads the copies, whose sizes are those of registers.
    unsafe {
        for s in 0..whole {
            step::<T, D, BOTH>(tiles, a.add(s * ROW_BYTES), a_stride, b.add(s * STEP * PANEL_BYTES));
        }
        if rest > 0 {
            let mut left = Padded([0; HEIGHT * ROW_BYTES]);
            let mut right = Padded([0; STEP * PANEL_BYTES]);
            for (row, to) in left.0.chunks_exact_mut(ROW_BYTES).take(rows).enumerate() {
                let from = a.add(row * a_stride + whole * ROW_BYTES);
                from.copy_to_nonoverlapping(to.as_mut_ptr(), rest * GROUP);
            }
            let from = b.add(whole * STEP * PANEL_BYTES);
            from.copy_to_nonoverlapping(right.0.as_mut_ptr(), rest * PANEL_BYTES);
            step::<T, D, BOTH>(tiles, left.0.as_ptr(), ROW_BYTES, right.0.as_ptr());
        }
    }
}

/// Adds 16 groups of depth to the sums.
///
/// # Safety
/// As [`product`], with 16 groups.
#[inline(always)]
unsafe fn step<T: Tiles, D: Dot, const BOTH: bool>(
    tiles: &mut T,
    a: *const u8,
    a_stride: usize,
    b: *const u8,
) {
    // SAFETY: the lower registers start where the upper ones end; B1 is the right half of the panel.
    unsafe {
        tiles.load::<6>(b, PANEL_BYTES);
        tiles.load::<4>(a, a_stride);
        D::dot::<T, 0, 4, 6>(tiles);
        tiles.load::<7>(b.add(ROW_BYTES), PANEL_BYTES);
        D::dot::<T, 1, 4, 7>(tiles);
        if BOTH {
            tiles.load::<5>(a.add(ROWS * a_stride), a_stride);
            D::dot::<T, 2, 5, 6>(tiles);
            D::dot::<T, 3, 5, 7>(tiles);
        }
    }
}
