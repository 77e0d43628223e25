//! Products by tiles: 32 rows of the left operand times one panel of the right.
//!
//! Four registers hold the sums (2×2 of 16 rows × 16 columns), two the left operand's rows, two the panel's halves:
//! each of the four loads of a step serves two products. A panel `[groups][32]` of 4 bytes (pairs of bf16, quads of
//! i8) is already what the right operand must look like, two registers side by side.
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
/// Bytes of a group: a pair of bf16, a quad of bytes; as many in f32 and i32, the sums.
pub(crate) const GROUP: usize = 4;
/// Groups of a step over the depth: a row of a register.
const STEP: usize = ROW_BYTES / GROUP;
/// Bytes from one row of a panel to the next.
const PANEL_BYTES: usize = PANEL * GROUP;

// Two registers side by side make a panel.
const _: () = assert!(PANEL_BYTES == 2 * ROW_BYTES);

/// The configuration for every product: all eight registers, all 16 rows of 64 bytes.
pub(crate) const CONFIG: TileConfig = TileConfig::palette1([ROWS as u8; 8]);

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

/// Quads of unsigned bytes with quads of signed ones, summed in i32.
pub(crate) struct ByteQuads;

impl Dot for ByteQuads {
    #[inline(always)]
    unsafe fn dot<T: Tiles, const C: u8, const A: u8, const B: u8>(tiles: &mut T) {
        // SAFETY: the contracts are the same.
        unsafe { tiles.dot_u8_i8::<C, A, B>() }
    }
}

/// Where the operands of a product lie.
#[derive(Clone, Copy)]
pub(crate) struct Operands {
    /// 32 rows of `groups` groups.
    pub(super) a: *const u8,
    /// Bytes from one row of `a` to the next.
    pub(super) a_stride: usize,
    /// A panel of `groups` rows of 128 bytes.
    pub(super) b: *const u8,
    /// Groups of depth.
    pub(super) groups: usize,
    /// 32 rows of 32 sums, f32 or i32.
    pub(super) c: *mut u8,
    /// Bytes from one row of `c` to the next.
    pub(super) c_stride: usize,
}

/// `c[32][32] = a[32][groups] · b[groups][32]`, or the same added to `c` when `ADD`.
///
/// A last step of less than 16 groups goes through copies padded with zeros: reading on would run into what follows
/// in memory, and zeros times what is not finite are not zero.
///
/// # Safety
/// The instructions; the registers are configured by [`CONFIG`]; the operands are as their fields say.
#[inline(always)]
pub(crate) unsafe fn product<T: Tiles, D: Dot, const ADD: bool>(tiles: &mut T, on: Operands) {
    let Operands { a, a_stride, b, groups, c, c_stride } = on;
    let (whole, rest) = (groups / STEP, groups % STEP);
    // SAFETY: step s reads groups 16·s..16·s + 16 ≤ groups; the rest reads copies of the size of two registers. The
    // lower registers start 16 rows below the upper ones, the right ones 64 bytes beside the left.
    unsafe {
        let lower = c.add(ROWS * c_stride);
        if ADD {
            tiles.load::<0>(c, c_stride);
            tiles.load::<1>(c.add(ROW_BYTES), c_stride);
            tiles.load::<2>(lower, c_stride);
            tiles.load::<3>(lower.add(ROW_BYTES), c_stride);
        } else {
            tiles.zero::<0>();
            tiles.zero::<1>();
            tiles.zero::<2>();
            tiles.zero::<3>();
        }
        for s in 0..whole {
            step::<T, D>(tiles, a.add(s * ROW_BYTES), a_stride, b.add(s * STEP * PANEL_BYTES));
        }
        if rest > 0 {
            let mut left = Padded([0; HEIGHT * ROW_BYTES]);
            let mut right = Padded([0; STEP * PANEL_BYTES]);
            for (row, to) in left.0.chunks_exact_mut(ROW_BYTES).enumerate() {
                let from = a.add(row * a_stride + whole * ROW_BYTES);
                from.copy_to_nonoverlapping(to.as_mut_ptr(), rest * GROUP);
            }
            let from = b.add(whole * STEP * PANEL_BYTES);
            from.copy_to_nonoverlapping(right.0.as_mut_ptr(), rest * PANEL_BYTES);
            step::<T, D>(tiles, left.0.as_ptr(), ROW_BYTES, right.0.as_ptr());
        }
        tiles.store::<0>(c, c_stride);
        tiles.store::<1>(c.add(ROW_BYTES), c_stride);
        tiles.store::<2>(lower, c_stride);
        tiles.store::<3>(lower.add(ROW_BYTES), c_stride);
    }
}

/// Rows of 64 bytes, each in a cache line.
#[repr(C, align(64))]
struct Padded<const BYTES: usize>([u8; BYTES]);

/// Adds 16 groups of depth to the sums. Each product follows the load that completes its operands, so that the next
/// load runs beside it.
///
/// # Safety
/// As [`product`], with 16 groups.
#[inline(always)]
unsafe fn step<T: Tiles, D: Dot>(tiles: &mut T, a: *const u8, a_stride: usize, b: *const u8) {
    // SAFETY: the contract is that of the product.
    unsafe {
        tiles.load::<6>(b, PANEL_BYTES);
        tiles.load::<4>(a, a_stride);
        D::dot::<T, 0, 4, 6>(tiles);
        tiles.load::<7>(b.add(ROW_BYTES), PANEL_BYTES);
        D::dot::<T, 1, 4, 7>(tiles);
        tiles.load::<5>(a.add(ROWS * a_stride), a_stride);
        D::dot::<T, 2, 5, 6>(tiles);
        D::dot::<T, 3, 5, 7>(tiles);
    }
}
