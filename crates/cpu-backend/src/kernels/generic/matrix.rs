//! Products: a 12×32 tile of a large product, and a few rows times a stream of weights.

use super::simd::Simd;
use crate::kernels::PANEL;
use half::{bf16, f16};

/// How far ahead of what it multiplies [`stream`] asks for weights, in bytes. The processor's own prefetch stops at the
/// end of each page of 4 KiB, and memory answers after some 100 ns, in which a core reads 2 KiB.
pub(crate) const AHEAD: usize = 4096;
/// Bytes of a cache line.
const LINE: usize = 64;

/// How the elements of a matrix `w[k][column]` lie in memory: groups of [`Layout::GROUP`] consecutive `k` are
/// interleaved, so element (k, c) is at `(k / GROUP · ld + c) · GROUP + k % GROUP` for a row length `ld`.
pub(crate) trait Layout {
    /// What is stored.
    type Item;
    /// Interleaved rows; when above 1, `k` must be padded to a multiple of 4.
    const GROUP: usize;
    /// Whether every second row is loaded [`Simd::ODD`] times too large, which the other factor makes up for.
    const ODD: bool = false;
    /// Columns `c…c+LANES` of the four rows that start at `p`.
    ///
    /// # Safety
    /// As [`Simd`]; all four rows must be readable.
    unsafe fn load4<S: Simd>(p: *const Self::Item, ld: usize) -> [S::V; 4];
    /// Columns `c…c+LANES` of the one row at `p`; only called for `GROUP == 1`.
    ///
    /// # Safety
    /// As [`Simd`].
    unsafe fn load1<S: Simd>(p: *const Self::Item) -> S::V;
}

/// Row after row of f32.
pub(crate) struct PlainF32;
/// Row after row of f16.
pub(crate) struct PlainF16;
/// Row after row of bf16.
pub(crate) struct PlainBf16;
/// Pairs of rows interleaved, bf16: the operand order of `vdpbf16ps`.
pub(crate) struct PairsBf16;
/// Groups of four rows interleaved, i8: the operand order of `vpdpbusd`.
pub(crate) struct QuadsI8;

macro_rules! plain {
    ($layout:ty, $item:ty, $load:ident) => {
        impl Layout for $layout {
            type Item = $item;
            const GROUP: usize = 1;
            #[inline(always)]
            unsafe fn load4<S: Simd>(p: *const $item, ld: usize) -> [S::V; 4] {
                // SAFETY: the caller vouches for the four rows and the level.
                unsafe {
                    [S::$load(p), S::$load(p.add(ld)), S::$load(p.add(2 * ld)), S::$load(p.add(3 * ld))]
                }
            }
            #[inline(always)]
            unsafe fn load1<S: Simd>(p: *const $item) -> S::V {
                // SAFETY: the caller vouches for the row and the level.
                unsafe { S::$load(p) }
            }
        }
    };
}
plain!(PlainF32, f32, load);
plain!(PlainF16, f16, load_f16);
plain!(PlainBf16, bf16, load_bf16);

impl Layout for PairsBf16 {
    type Item = bf16;
    const GROUP: usize = 2;
    #[inline(always)]
    unsafe fn load4<S: Simd>(p: *const bf16, ld: usize) -> [S::V; 4] {
        // SAFETY: the caller vouches for four rows, which are two groups of 2·ld elements, and the level.
        let ([a, b], [c, d]) = unsafe { (S::load_bf16_pairs(p), S::load_bf16_pairs(p.add(2 * ld))) };
        [a, b, c, d]
    }
    #[inline(always)]
    unsafe fn load1<S: Simd>(_: *const bf16) -> S::V {
        unreachable!("interleaved matrices are padded to whole groups")
    }
}

impl Layout for QuadsI8 {
    type Item = i8;
    const GROUP: usize = 4;
    const ODD: bool = true;
    #[inline(always)]
    unsafe fn load4<S: Simd>(p: *const i8, _ld: usize) -> [S::V; 4] {
        // SAFETY: the caller vouches for four rows, which are one group, and the level.
        unsafe { S::load_i8_quads(p) }
    }
    #[inline(always)]
    unsafe fn load1<S: Simd>(_: *const i8) -> S::V {
        unreachable!("interleaved matrices are padded to whole groups")
    }
}

/// `out[r][c] = Σ_k x[r][k] · w[k][c]` (w of odd k times [`Layout::ODD`]) for `R` rows and `NV · LANES` columns, reading each weight once.
/// `KU` independent sums per output hide the latency of the multiply-add.
///
/// # Safety
/// As [`Simd`]; `x` holds R rows of k at stride `ldx`, `w` holds k rows in layout `L` with row length `ldw`,
/// `out` holds R rows of `NV · LANES` at stride `ldo`.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a matrix product: pointers, strides, sizes")]
pub(crate) unsafe fn stream<S: Simd, L: Layout, const R: usize, const NV: usize, const KU: usize>(
    x: *const f32,
    ldx: usize,
    w: *const L::Item,
    ldw: usize,
    k: usize,
    out: *mut f32,
    ldo: usize,
) {
    // SAFETY: all offsets stay inside what the caller vouched for: rows r < R, depths below k, NV vectors.
    unsafe {
        let mut acc = [[[S::splat(0.0); KU]; NV]; R];
        let whole = k / 4 * 4;
        let mut depth = 0;
        while depth < whole {
            let ahead = w.add(depth * ldw).cast::<u8>().wrapping_add(AHEAD);
            let rows = 4 / L::GROUP;
            for row in 0..rows {
                let mut byte = 0;
                while byte < NV * S::LANES * L::GROUP * size_of::<L::Item>() {
                    S::prefetch(ahead.wrapping_add(row * L::GROUP * ldw * size_of::<L::Item>() + byte));
                    byte += LINE;
                }
            }
            for v in 0..NV {
                let four = L::load4::<S>(w.add(depth * ldw + v * S::LANES * L::GROUP), ldw);
                for j in 0..4 {
                    for r in 0..R {
                        let factor = S::splat(*x.add(r * ldx + depth + j));
                        acc[r][v][j % KU] = S::fma(factor, four[j], acc[r][v][j % KU]);
                    }
                }
            }
            depth += 4;
        }
        while L::GROUP == 1 && depth < k {
            for v in 0..NV {
                let one = L::load1::<S>(w.add(depth * ldw + v * S::LANES));
                for r in 0..R {
                    acc[r][v][0] = S::fma(S::splat(*x.add(r * ldx + depth)), one, acc[r][v][0]);
                }
            }
            depth += 1;
        }
        for r in 0..R {
            for v in 0..NV {
                let mut sum = acc[r][v][0];
                for u in 1..KU {
                    sum = S::add(sum, acc[r][v][u]);
                }
                S::store(out.add(r * ldo + v * S::LANES), sum);
            }
        }
    }
}

/// `rows` (any number) times `columns` (a multiple of 32 or of 16) of `w`; the registers are cut for the level.
///
/// # Safety
/// As [`stream`], with `columns` a multiple of `LANES` and of 16.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a matrix product: pointers, strides, sizes")]
pub(crate) unsafe fn few_rows<S: Simd, L: Layout>(
    rows: usize,
    x: *const f32,
    ldx: usize,
    w: *const L::Item,
    ldw: usize,
    k: usize,
    columns: usize,
    out: *mut f32,
    ldo: usize,
) {
    // Registers: 32 on AVX-512, 16 elsewhere. R · NV · KU of them are sums.
    let wide = S::LANES == 16;
    let most = if wide { 8 } else { 4 };
    let mut row = 0;
    while row < rows {
        let r = (rows - row).min(most);
        let mut column = 0;
        while column < columns {
            // SAFETY: row + r ≤ rows; a step of NV · LANES never passes `columns`, a multiple of it.
            unsafe {
                let x = x.add(row * ldx);
                let w = w.add(column * L::GROUP);
                let out = out.add(row * ldo + column);
                let two = columns - column >= 2 * S::LANES;
                // All of a head's values at once: half of their rows would be half of their cache lines.
                if r == 1 && columns - column >= 4 * S::LANES {
                    stream::<S, L, 1, 4, 2>(x, ldx, w, ldw, k, out, ldo);
                    column += 4 * S::LANES;
                    continue;
                }
                match (r, two) {
                    (1, true) => stream::<S, L, 1, 2, 4>(x, ldx, w, ldw, k, out, ldo),
                    (1, false) => stream::<S, L, 1, 1, 4>(x, ldx, w, ldw, k, out, ldo),
                    (2, true) => stream::<S, L, 2, 2, 2>(x, ldx, w, ldw, k, out, ldo),
                    (2, false) => stream::<S, L, 2, 1, 4>(x, ldx, w, ldw, k, out, ldo),
                    (3, true) => stream::<S, L, 3, 2, 1>(x, ldx, w, ldw, k, out, ldo),
                    (3, false) => stream::<S, L, 3, 1, 2>(x, ldx, w, ldw, k, out, ldo),
                    (4, true) => stream::<S, L, 4, 2, 1>(x, ldx, w, ldw, k, out, ldo),
                    (4, false) => stream::<S, L, 4, 1, 2>(x, ldx, w, ldw, k, out, ldo),
                    (5, true) => stream::<S, L, 5, 2, 1>(x, ldx, w, ldw, k, out, ldo),
                    (5, false) => stream::<S, L, 5, 1, 1>(x, ldx, w, ldw, k, out, ldo),
                    (6, true) => stream::<S, L, 6, 2, 1>(x, ldx, w, ldw, k, out, ldo),
                    (6, false) => stream::<S, L, 6, 1, 1>(x, ldx, w, ldw, k, out, ldo),
                    (7, true) => stream::<S, L, 7, 2, 1>(x, ldx, w, ldw, k, out, ldo),
                    (7, false) => stream::<S, L, 7, 1, 1>(x, ldx, w, ldw, k, out, ldo),
                    (_, true) => stream::<S, L, 8, 2, 1>(x, ldx, w, ldw, k, out, ldo),
                    (_, false) => stream::<S, L, 8, 1, 1>(x, ldx, w, ldw, k, out, ldo),
                }
                column += if two { 2 * S::LANES } else { S::LANES };
            }
        }
        row += r;
    }
}

/// `c[ROWS][32] =, with `ADD` +=, a[ROWS][k] · b[k][32]`, in register blocks of `MR` rows by `NV` vectors.
///
/// # Safety
/// As [`Simd`]; `a` holds `ROWS` rows of k numbers, `lda` bytes apart, `b` k rows of 32, `c` `ROWS` rows of 32 at stride
/// `ldc`; `MR` divides `ROWS` and is at most 12.
#[inline(always)]
pub(crate) unsafe fn tile<S: Simd, const ROWS: usize, const MR: usize, const NV: usize, const ADD: bool>(
    a: *const u8,
    lda: usize,
    b: *const f32,
    k: usize,
    c: *mut f32,
    ldc: usize,
) {
    let mut column = 0;
    while column < PANEL {
        let mut row = 0;
        while row < ROWS {
            // SAFETY: row + MR ≤ ROWS and column + NV · LANES ≤ 32, as MR divides ROWS and NV · LANES divides 32.
            unsafe {
                let mut a = TRIPLES.map(|i| a.wrapping_add((row + i) * lda));
                let mut b = b.add(column);
                let c = c.add(row * ldc + column);
                let mut acc = [[S::splat(0.0); NV]; MR];
                let end = b.wrapping_add(k / 2 * 2 * PANEL);
                while b != end {
                    add_products::<S, MR, NV>(&mut acc, a, lda, b);
                    add_products::<S, MR, NV>(&mut acc, a.map(|a| a.wrapping_add(4)), lda, b.add(PANEL));
                    a = a.map(|a| a.wrapping_add(8));
                    b = b.wrapping_add(2 * PANEL);
                }
                if !k.is_multiple_of(2) {
                    add_products::<S, MR, NV>(&mut acc, a, lda, b);
                }
                for i in 0..MR {
                    for v in 0..NV {
                        let p = c.add(i * ldc + v * S::LANES);
                        let sum = if ADD { S::add(S::load(p), acc[i][v]) } else { acc[i][v] };
                        S::store(p, sum);
                    }
                }
            }
            row += MR;
        }
        column += NV * S::LANES;
    }
}

/// Rows that [`tile`] keeps a walking pointer to: those between are one and two strides on, which an address adds for
/// nothing. With an index instead, addresses took a quarter of the time.
const TRIPLES: [usize; 4] = [0, 3, 6, 9];

/// `acc[i][v] += a[i] · b[v]`, for numbers a one below the other, `lda` bytes apart, of which `a` points to each third.
///
/// # Safety
/// As [`Simd`]; `MR` numbers in a, at most 12, and `NV` vectors in `b`.
#[inline(always)]
unsafe fn add_products<S: Simd, const MR: usize, const NV: usize>(
    acc: &mut [[S::V; NV]; MR],
    a: [*const u8; 4],
    lda: usize,
    b: *const f32,
) {
    // SAFETY: the caller vouches for i < MR and v < NV, and for the level.
    unsafe {
        let mut right = [S::splat(0.0); NV];
        for v in 0..NV {
            right[v] = S::load(b.add(v * S::LANES));
        }
        for i in 0..MR {
            let left = S::splat(a[i / 3].add(i % 3 * lda).cast::<f32>().read_unaligned());
            for v in 0..NV {
                acc[i][v] = S::fma(left, right[v], acc[i][v]);
            }
        }
    }
}

/// Widens `k` rows (a multiple of 4) of one panel to f32 `[k][32]`, times a scale per column.
///
/// # Safety
/// As [`Simd`]; `w` holds k rows of 32 in layout `L`, `out` k rows of 32, `scale` 32 numbers.
#[inline(always)]
pub(crate) unsafe fn widen<S: Simd, L: Layout>(
    w: *const L::Item,
    k: usize,
    scale: *const f32,
    out: *mut f32,
) {
    let mut depth = 0;
    while depth < k {
        let mut column = 0;
        while column < PANEL {
            // SAFETY: depth + 4 ≤ k and column + LANES ≤ 32.
            unsafe {
                let even = S::load(scale.add(column));
                let odd = if L::ODD { S::mul(even, S::splat(1.0 / S::ODD)) } else { even };
                let four = L::load4::<S>(w.add(depth * PANEL + column * L::GROUP), PANEL);
                for j in 0..4 {
                    S::store(
                        out.add((depth + j) * PANEL + column),
                        S::mul(four[j], if j % 2 == 0 { even } else { odd }),
                    );
                }
            }
            column += S::LANES;
        }
        depth += 4;
    }
}
