//! The one product that layers and attention are made of: a tile of rows times a panel of 32 columns, and what its
//! sums need before and after.

use super::{Columns, Ending, PANEL, TILE_ROWS, dispatch, portable};
#[cfg(target_arch = "x86_64")]
use super::{amx, avx2, avx512};
use crate::level::{Level, LevelKind};

/// Most depths of a product of bytes whose sums are sure to stay in 32 bits, in whole groups.
pub(crate) const MAX_BYTE_DEPTH: usize = (i32::MAX / (255 * 128)) as usize / 4 * 4;

/// Most depths of a product of 16-bit and 8-bit numbers: there [`i16_limit`] is 2047, so the former have 12 bits left.
pub(crate) const MAX_I16_DEPTH: usize = 8192;

/// The largest 16-bit number whose products with `depth` bytes are sure to sum up to 32 bits: 32767 up to a depth of 512, 8191
/// at 2048.
pub(crate) fn i16_limit(depth: usize) -> i32 {
    (i32::MAX / 128 / depth.max(1) as i32).min(i32::from(i16::MAX))
}

/// The largest number of both factors whose `depth` products are sure to sum up to 32 bits: 5792 at a depth of 64, 4095 at 128.
pub(crate) fn i16_limit_of_both(depth: usize) -> i32 {
    (i32::MAX / depth.max(1) as i32).isqrt().min(i32::from(i16::MAX))
}

/// Most rows that a level's tile has.
pub(crate) const MAX_TILE_ROWS: usize = 32;

/// Numbers of the left operand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    F32,
    Bf16,
    /// Whole numbers times a scale per row, in ∓[`i16_limit`] or [`i16_limit_of_both`].
    I16,
    /// (u − zero)·scale, with one zero point and one scale per row.
    U8,
}

impl Number {
    /// Whether attention's softmax goes from whole numbers to whole numbers.
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, Self::I16 | Self::U8)
    }

    /// Bytes of one.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::I16 => 2,
            Self::U8 => 1,
        }
    }

    /// Consecutive depths that lie side by side in a panel: four bytes of them.
    pub(crate) fn group(self) -> usize {
        4 / self.size()
    }
}

/// Bytes between rows that hold `bytes`: an odd number of cache lines, so that the rows of a tile do not all fall on
/// the same few sets of a cache.
pub(crate) fn row_stride(bytes: usize) -> usize {
    (bytes.div_ceil(64) | 1) * 64
}

/// What the stored numbers of a row stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RowScale {
    pub(crate) scale: f32,
    pub(crate) zero: f32,
}

impl RowScale {
    /// Numbers that stand for themselves.
    pub(crate) const ONE: Self = Self { scale: 1.0, zero: 0.0 };
}

/// The numbers of a row that lie beyond the range of its steps: where, and by how many steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beyond {
    count: usize,
    places: [(u32, f32); Self::MOST],
}

impl Beyond {
    /// Each costs a row of weights in f32: with some ten in every row, the blocks of Whisper-base took a tenth longer.
    const MOST: usize = 16;

    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// The next place, in order. Returns whether there was room.
    pub(crate) fn push(&mut self, at: usize, steps: f32) -> bool {
        assert!(self.last().is_none_or(|last| last < at), "{at} out of order");
        let Some(place) = self.places.get_mut(self.count) else { return false };
        *place = (at as u32, steps);
        self.count += 1;
        true
    }

    /// The last place: all others are below it.
    fn last(&self) -> Option<usize> {
        self.places().last().map(|&(at, _)| at as usize)
    }

    /// (place, steps) of each.
    pub(crate) fn places(&self) -> &[(u32, f32)] {
        &self.places[..self.count]
    }
}

/// Sums of one tile, on a cache line.
#[repr(align(64))]
pub(crate) struct Tile(pub(crate) [f32; MAX_TILE_ROWS * PANEL]);

impl Tile {
    pub(crate) fn new() -> Self {
        Self([0.0; MAX_TILE_ROWS * PANEL])
    }
}

impl Level {
    /// Rows of a tile.
    pub(crate) fn tile_rows(self) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self.kind() == LevelKind::Amx {
            return amx::HEIGHT;
        }
        TILE_ROWS
    }

    /// Whether it multiplies such numbers in tiles.
    pub(crate) fn multiplies(self, number: Number) -> bool {
        match number {
            Number::F32 => true,
            Number::Bf16 => self.has_bf16(),
            Number::I16 => self.kind() == LevelKind::Avx2,
            Number::U8 => self.has_vnni(),
        }
    }

    /// `c[tile_rows][32] (+)= a · b`: rows of `a` are `stride` bytes apart, `b` is a panel `[depth / g][32][g]` with g the
    /// number's [`Number::group`] (i8 for u8), rows of `c` are `ldc` f32 apart. Sums of u8 and i16 are exact up to their
    /// conversion to f32, and never accumulate; those of i16 only while no number is
    /// over its depth's [`i16_limit`] in `a` and 128 in `b`, or none over [`i16_limit_of_both`].
    #[allow(clippy::too_many_arguments, reason = "a matrix product: operands, strides, sizes")]
    pub(crate) fn multiply(
        self,
        number: Number,
        a: &[u8],
        stride: usize,
        b: &[u8],
        depth: usize,
        c: &mut [f32],
        ldc: usize,
        accumulate: bool,
    ) {
        let (rows, groups) = (self.tile_rows(), depth / number.group());
        assert!(self.multiplies(number), "{self} does not multiply {number:?}");
        assert!(depth.is_multiple_of(number.group()));
        assert!(!(accumulate && matches!(number, Number::U8 | Number::I16)));
        assert!(
            number != Number::U8 || depth <= MAX_BYTE_DEPTH,
            "sums of {depth} products of bytes overflow"
        );
        assert!(number != Number::I16 || depth <= MAX_I16_DEPTH, "{depth} products of 16 bits");
        assert!(a.len() >= (rows - 1) * stride + depth * number.size());
        assert!(b.len() >= groups * 4 * PANEL);
        assert!(ldc >= PANEL && c.len() >= (rows - 1) * ldc + PANEL);
        let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        #[cfg(target_arch = "x86_64")]
        if let Some(unit) = self.tile_unit() {
            // SAFETY: the bounds were checked; a level with a tile unit proves that and AVX-512.
            return unsafe {
                match number {
                    Number::F32 => amx::tile_f32(a, stride, b.cast(), depth, c, ldc, accumulate),
                    Number::Bf16 => amx::tile_bf16(unit, a, stride, b, groups, c, ldc, accumulate),
                    Number::U8 => amx::tile_u8(unit, a, stride, b, groups, c, ldc),
                    Number::I16 => unreachable!("`multiplies` is false at this level"),
                }
            };
        }
        match number {
            Number::F32 => dispatch!(self, tile_f32(a, stride, b.cast(), depth, c, ldc, accumulate)),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the bounds were checked; `multiplies` proves AVX-512 and its BF16 instructions.
            Number::Bf16 => unsafe { avx512::tile_bf16(a, stride, b, groups, c, ldc, accumulate) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the bounds were checked; `multiplies` proves AVX2.
            Number::I16 => unsafe { avx2::tile_i16(a, stride, b, groups, c, ldc) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the bounds were checked; `multiplies` proves AVX-512 and its VNNI instructions.
            Number::U8 => unsafe { avx512::tile_u8(a, stride, b, groups, c, ldc) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("`multiplies` is false on this target"),
        }
    }

    /// Rounds `x` to f32 or bf16, the first at `out[0]`, zeros up to the end of `out`.
    pub(crate) fn convert(self, number: Number, x: &[f32], out: &mut [u8]) {
        assert!(self.multiplies(number), "{self} does not multiply {number:?}");
        assert!(out.len() >= x.len() * number.size());
        match number {
            Number::F32 => {
                let (whole, rest) = out.split_at_mut(size_of_val(x));
                // SAFETY: as long as x, and any bytes may be written.
                unsafe { std::ptr::copy_nonoverlapping(x.as_ptr().cast(), whole.as_mut_ptr(), whole.len()) };
                rest.fill(0);
            }
            #[cfg(target_arch = "x86_64")]
            Number::Bf16 => {
                // SAFETY: the bounds were checked; `multiplies` proves AVX-512 and its BF16 instructions.
                unsafe { avx512::narrow(x.as_ptr(), x.len(), out.as_mut_ptr(), out.len()) };
            }
            _ => unreachable!("`multiplies` is false on this target, or rows are to be quantised"),
        }
    }

    /// Rounds `x` to u8 in steps of the row's own, its few largest numbers into `beyond`; what stands for zeros up to the end of
    /// `out`. A row that holds what is not finite gives non-finite products.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has VNNI"))]
    pub(crate) fn quantise(self, x: &[f32], out: &mut [u8], beyond: &mut Beyond) -> RowScale {
        assert!(self.has_vnni() && out.len() >= x.len());
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; `has_vnni` is only set with AVX-512 and its VNNI instructions.
        return unsafe { avx512::quantise(x.as_ptr(), x.len(), out.as_mut_ptr(), out.len(), beyond) };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`has_vnni` is false on this target")
    }

    /// Rounds `x` to whole numbers in ∓`limit`, 16 bits each, zeros up to the end of `out`; returns what 1 stands for, NaN when a
    /// number is not finite.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has AVX2"))]
    pub(crate) fn round_i16(self, x: &[f32], limit: i32, out: &mut [u8]) -> f32 {
        assert!(self.multiplies(Number::I16) && out.len() >= 2 * x.len());
        assert!((1..=i32::from(i16::MAX)).contains(&limit));
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; `multiplies` proves AVX2 and FMA.
        return unsafe { avx2::round_i16(x.as_ptr(), x.len(), limit as f32, out.as_mut_ptr(), out.len()) };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`multiplies` is false on this target")
    }

    /// Widens a panel of i8, as [`Level::multiply`] takes it for u8, to one as it takes it for i16.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has AVX2"))]
    pub(crate) fn widen_i16(self, panel: &[u8], depth: usize, out: &mut [u8]) {
        assert!(self.multiplies(Number::I16) && depth.is_multiple_of(4));
        assert!(panel.len() >= depth * PANEL && out.len() >= 2 * depth * PANEL);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; `multiplies` proves AVX2.
        unsafe {
            avx2::widen_i16(panel.as_ptr(), depth / 4, out.as_mut_ptr());
        }
    }

    /// `sums[32] += steps · b[at]` for each place of `beyond`, `b` a panel of i8 as [`Level::multiply`] takes it.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has VNNI"))]
    pub(crate) fn add_beyond(self, beyond: &Beyond, b: &[u8], sums: &mut [f32]) {
        let Some(last) = beyond.last() else { return };
        assert!(self.has_vnni() && sums.len() >= PANEL && b.len() >= (last / 4 + 1) * 4 * PANEL);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked, as places are in order; `has_vnni` is only set with AVX-512.
        unsafe {
            avx512::add_rows(b.as_ptr(), beyond.places(), sums.as_mut_ptr());
        }
    }

    /// Writes 2^(x − shift) as bf16 (shift ≥ every x but for 60 or so), then zeros up to the end of `out`; returns the sum of
    /// what was written, before its rounding.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has bf16"))]
    pub(crate) fn exp2_bf16(self, x: &[f32], shift: f32, out: &mut [u8]) -> f32 {
        assert!(self.has_bf16() && out.len() >= 2 * x.len());
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; `has_bf16` is only set with AVX-512 and its BF16 instructions.
        return unsafe { avx512::exp2_bf16(x.as_ptr(), x.len(), shift, out.as_mut_ptr(), out.len()) };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`has_bf16` is false on this target")
    }

    /// Whether it has [`Level::weigh`].
    pub(crate) fn weighs(self, number: Number) -> bool {
        self.kind() == LevelKind::Avx512 && number != Number::U8 && self.multiplies(number)
    }

    /// Attention's weights of a tile of queries for one panel of keys in one go: e^(a·b − shift) in f32, 2^(a·b − shift) in
    /// bf16, of which the first `keys` columns count, to rows of `out` `out_stride` bytes apart, and lane by lane to `totals`.
    /// Returns whether they are of no use, because a score exceeds its shift by more than 60; one that is no number makes its
    /// total none.
    #[allow(clippy::too_many_arguments, reason = "a matrix product: operands, strides, sizes")]
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here weighs"))]
    pub(crate) fn weigh(
        self,
        number: Number,
        a: &[u8],
        stride: usize,
        b: &[u8],
        depth: usize,
        shift: &[f32; TILE_ROWS],
        keys: usize,
        out: &mut [u8],
        out_stride: usize,
        totals: &mut [[f32; 16]; TILE_ROWS],
    ) -> bool {
        let size = number.size();
        assert!(self.weighs(number) && depth.is_multiple_of(number.group()) && keys <= PANEL);
        assert!(a.len() >= (TILE_ROWS - 1) * stride + size * depth && b.len() >= size * depth * PANEL);
        assert!(out_stride >= size * PANEL && out.len() >= (TILE_ROWS - 1) * out_stride + size * PANEL);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; `weighs` proves AVX-512, and for bf16 its BF16 instructions.
        return unsafe {
            let (a, b, out, groups) = (a.as_ptr(), b.as_ptr(), out.as_mut_ptr(), depth / number.group());
            match number {
                Number::F32 => avx512::weigh_f32(a, stride, b, groups, shift, keys, out, out_stride, totals),
                _ => avx512::weigh_bf16(a, stride, b, groups, shift, keys, out, out_stride, totals),
            }
        };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`weighs` is false on this target")
    }

    /// Ends the sums of as many rows as `rows` has, see [`Columns`], where they are.
    pub(crate) fn finish(self, sums: &mut Tile, rows: &[RowScale], columns: Columns<'_>, ending: Ending) {
        assert!(rows.len() <= MAX_TILE_ROWS);
        let c = sums.0.as_mut_ptr();
        dispatch!(self, finish(c, rows, columns, ending, c, PANEL));
    }

    /// As [`Level::finish`], to rows of 32 that are `stride` apart.
    pub(crate) fn finish_into(
        self,
        sums: &[f32],
        rows: &[RowScale],
        columns: Columns<'_>,
        ending: Ending,
        to: &mut [f32],
        stride: usize,
    ) {
        let Some(last) = rows.len().checked_sub(1) else { return };
        assert!(sums.len() >= rows.len() * PANEL && stride >= PANEL && to.len() >= last * stride + PANEL);
        let (c, to) = (sums.as_ptr(), to.as_mut_ptr());
        dispatch!(self, finish(c, rows, columns, ending, to, stride));
    }
}
