//! Element-wise and row-wise arithmetic: exponential, GELU, softmax, layer norm, the end of a tile.

use super::simd::Simd;
use crate::kernels::{PANEL, RowScale};

/// A function of one number, vectorised.
pub(crate) trait Map: Copy {
    /// # Safety
    /// As [`Simd`].
    unsafe fn apply<S: Simd>(self, v: S::V) -> S::V;
}

/// Applies `op` to `n` numbers; `from` and `to` may be the same.
///
/// # Safety
/// As [`Simd`]; n numbers readable at `from` and writable at `to`, which are equal or disjoint.
#[inline(always)]
pub(crate) unsafe fn map<S: Simd, M: Map>(from: *const f32, to: *mut f32, n: usize, op: M) {
    let whole = n / S::LANES * S::LANES;
    let mut i = 0;
    // SAFETY: whole vectors lie below n; the rest goes through a buffer of one vector.
    unsafe {
        while i < whole {
            S::store(to.add(i), op.apply::<S>(S::load(from.add(i))));
            i += S::LANES;
        }
        if i < n {
            let mut rest = [0.0_f32; 16];
            std::ptr::copy_nonoverlapping(from.add(i), rest.as_mut_ptr(), n - i);
            let v = op.apply::<S>(S::load(rest.as_ptr()));
            S::store(rest.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(rest.as_ptr(), to.add(i), n - i);
        }
    }
}

/// Sum of the lanes.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn total<S: Simd>(v: S::V) -> f32 {
    let mut lanes = [0.0_f32; 16];
    // SAFETY: LANES ≤ 16.
    unsafe { S::store(lanes.as_mut_ptr(), v) };
    lanes.iter().sum()
}

/// e^x for x ≤ 0 (NaN stays NaN, −∞ gives 0), at most 1.5 ulp off where the result is a normal number.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2, ln 2 in two parts so that n·(first part) is exact;
/// e^r = 1 + r + r²·P(r), P of degree 5 fitted here by weighted least squares (relative error 6e-11).
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub(crate) unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    const P: [f32; 6] = [0.5, 0.166_666_66, 0.041_666_295, 0.008_333_498, 0.001_394_475_9, 0.000_197_902_44];
    /// Adding and subtracting 1.5·2²³ rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    // SAFETY: the caller vouches for the level.
    unsafe {
        // e^−105 is below half the smallest subnormal. The operand order lets a NaN through.
        let x = S::max(S::splat(-105.0), x);
        let n = S::sub(S::fma(x, S::splat(std::f32::consts::LOG2_E), S::splat(ROUND)), S::splat(ROUND));
        let r = S::fma(n, S::splat(-355.0 / 512.0), x);
        let r = S::fma(n, S::splat(2.121_944_4e-4), r);
        let mut p = S::splat(P[5]);
        p = S::fma(p, r, S::splat(P[4]));
        p = S::fma(p, r, S::splat(P[3]));
        p = S::fma(p, r, S::splat(P[2]));
        p = S::fma(p, r, S::splat(P[1]));
        p = S::fma(p, r, S::splat(P[0]));
        let p = S::add(S::splat(1.0), S::fma(S::mul(r, r), p, r));
        S::scale2(p, n)
    }
}

/// GELU with the exact error function: x·Φ(x).
///
/// Φ(−|x|) = e^(−x²/2) · t·P(t) with t = 1/(1 + |x|/4): P, of degree 9, fitted here to erfcx (relative error
/// 8e-9 on |x| ≤ 14; beyond that the exponential is 0 in f32). Then x·Φ(x) = max(x, 0) − |x|·Φ(−|x|).
#[derive(Clone, Copy)]
pub(crate) struct Gelu;

impl Map for Gelu {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, x: S::V) -> S::V {
        const P: [f32; 10] = [
            0.099_747_9,
            0.099_492_56,
            0.095_515_676,
            0.071_999_66,
            0.086_656_09,
            0.012_713_482,
            0.028_433_695,
            0.051_654_052,
            -0.062_792_91,
            0.016_579_792,
        ];
        // SAFETY: the caller vouches for the level.
        unsafe {
            let a = S::abs(x);
            let t = S::div(S::splat(1.0), S::fma(a, S::splat(0.25), S::splat(1.0)));
            let mut p = S::splat(P[9]);
            for i in (0..9).rev() {
                p = S::fma(p, t, S::splat(P[i]));
            }
            let e = exp::<S>(S::mul(S::mul(a, a), S::splat(-0.5)));
            let tail = S::mul(S::mul(p, t), e);
            S::sub(S::max(x, S::splat(0.0)), S::mul(a, tail))
        }
    }
}

/// GELU for a product in bytes, whose steps are some hundredths: off by at most 1e-4 up to |x| = 3.75, and by 2.5e-4 beyond.
///
/// max(x, 0) − |x|·Φ(−|x|), the latter a polynomial of degree 7 fitted here by Remez's exchange, beyond 3.75 its last value.
#[derive(Clone, Copy)]
struct CoarseGelu;

impl Map for CoarseGelu {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, x: S::V) -> S::V {
        /// Of −|x|.
        const P: [f32; 8] = [
            -1.111_563_2e-5,
            -0.497_589_53,
            -0.376_958_73,
            0.065_809_465,
            0.157_927_3,
            0.064_742_13,
            0.011_341_855,
            0.000_753_180_96,
        ];
        // SAFETY: the caller vouches for the level.
        unsafe {
            let zero = S::splat(0.0);
            // The operand order lets a NaN through.
            let a = S::max(S::splat(-3.75), S::sub(zero, S::abs(x)));
            let mut tail = S::splat(P[7]);
            for i in (0..7).rev() {
                tail = S::fma(tail, a, S::splat(P[i]));
            }
            S::sub(S::max(x, zero), tail)
        }
    }
}

#[derive(Clone, Copy)]
struct Scale(f32);
impl Map for Scale {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, x: S::V) -> S::V {
        // SAFETY: the caller vouches for the level.
        unsafe { S::mul(x, S::splat(self.0)) }
    }
}

/// Multiplies in place.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub(crate) unsafe fn scale<S: Simd>(x: &mut [f32], factor: f32) {
    // SAFETY: the slice is readable and writable.
    unsafe {
        // One borrow for both: a second would end the first.
        let (len, x) = (x.len(), x.as_mut_ptr());
        map::<S, _>(x, x, len, Scale(factor))
    }
}

/// The largest element, −∞ for none; a NaN is passed over (it shows up in the exponentials).
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub(crate) unsafe fn largest<S: Simd>(x: &[f32]) -> f32 {
    let mut best = f32::NEG_INFINITY;
    let chunks = x.chunks_exact(S::LANES);
    for &v in chunks.remainder() {
        best = best.max(v);
    }
    let mut lanes = [f32::NEG_INFINITY; 16];
    // SAFETY: each chunk holds LANES numbers; LANES ≤ 16.
    unsafe {
        let mut most = S::splat(f32::NEG_INFINITY);
        for chunk in chunks {
            most = S::max(S::load(chunk.as_ptr()), most);
        }
        S::store(lanes.as_mut_ptr(), most);
    }
    lanes.into_iter().fold(best, f32::max)
}

/// Replaces x by e^(x − shift), where shift ≥ every x, and returns the sum.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub(crate) unsafe fn exp_sum<S: Simd>(x: &mut [f32], shift: f32) -> f32 {
    let n = x.len();
    let whole = n / S::LANES * S::LANES;
    // SAFETY: vectors are only touched below `whole`; the rest goes through a buffer of one vector.
    unsafe {
        let mut sum = S::splat(0.0);
        let mut i = 0;
        while i < whole {
            let p = x.as_mut_ptr().add(i);
            let e = exp::<S>(S::sub(S::load(p), S::splat(shift)));
            S::store(p, e);
            sum = S::add(sum, e);
            i += S::LANES;
        }
        let mut rest = [0.0_f32; 16];
        rest[..n - whole].copy_from_slice(&x[whole..]);
        S::store(rest.as_mut_ptr(), exp::<S>(S::sub(S::load(rest.as_ptr()), S::splat(shift))));
        x[whole..].copy_from_slice(&rest[..n - whole]);
        total::<S>(sum) + rest[..n - whole].iter().sum::<f32>()
    }
}

/// `y = (x − mean) / sqrt(variance + eps) · gamma + beta`; mean first, then the variance about it.
///
/// # Safety
/// As [`Simd`]; all four of one length.
#[inline(always)]
pub(crate) unsafe fn layer_norm<S: Simd>(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, y: &mut [f32]) {
    let n = x.len();
    let whole = n / S::LANES * S::LANES;
    // SAFETY: vectors are only touched below `whole` ≤ n, the length of all four slices.
    unsafe {
        let mut sum = S::splat(0.0);
        let mut i = 0;
        while i < whole {
            sum = S::add(sum, S::load(x.as_ptr().add(i)));
            i += S::LANES;
        }
        let mean = (total::<S>(sum) + x[whole..].iter().sum::<f32>()) / n as f32;
        let mut squares = S::splat(0.0);
        i = 0;
        while i < whole {
            let d = S::sub(S::load(x.as_ptr().add(i)), S::splat(mean));
            squares = S::fma(d, d, squares);
            i += S::LANES;
        }
        let rest: f32 = x[whole..].iter().map(|v| (v - mean) * (v - mean)).sum();
        let inverse = 1.0 / ((total::<S>(squares) + rest) / n as f32 + eps).sqrt();
        i = 0;
        while i < whole {
            let d = S::mul(S::sub(S::load(x.as_ptr().add(i)), S::splat(mean)), S::splat(inverse));
            let v = S::fma(d, S::load(gamma.as_ptr().add(i)), S::load(beta.as_ptr().add(i)));
            S::store(y.as_mut_ptr().add(i), v);
            i += S::LANES;
        }
        for i in whole..n {
            y[i] = (x[i] - mean) * inverse * gamma[i] + beta[i];
        }
    }
}

/// `x += y`.
///
/// # Safety
/// As [`Simd`]; of one length.
#[inline(always)]
pub(crate) unsafe fn add<S: Simd>(x: &mut [f32], y: &[f32]) {
    let whole = x.len() / S::LANES * S::LANES;
    let mut i = 0;
    // SAFETY: vectors are only touched below `whole`.
    unsafe {
        while i < whole {
            let v = S::add(S::load(x.as_ptr().add(i)), S::load(y.as_ptr().add(i)));
            S::store(x.as_mut_ptr().add(i), v);
            i += S::LANES;
        }
    }
    for i in whole..x.len() {
        x[i] += y[i];
    }
}

/// What the columns of a panel of sums are finished with.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    /// What a stored weight counts.
    pub(crate) scale: &'a [f32; PANEL],
    /// Sums of the stored weights, which the rows' zero points are taken off with.
    pub(crate) sums: &'a [f32; PANEL],
    /// The bias.
    pub(crate) bias: &'a [f32; PANEL],
}

/// What finished sums become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The result.
    Store,
    /// Its GELU is the result.
    Gelu,
    /// Its GELU is the result, as accurate as bytes are.
    CoarseGelu,
    /// They are added to what is there.
    Add,
}

/// Ends a block of sums: `(c − zero·sums)·(row scale · column scale) + bias`, then as `ending` says, to rows of 32 that are
/// `stride` apart.
///
/// # Safety
/// As [`Simd`]; `c` holds as many rows of 32 as there are in `rows`, and so does `to`, which is `c` at stride 32 or disjoint.
#[inline(always)]
pub(crate) unsafe fn finish<S: Simd>(
    c: *const f32,
    rows: &[RowScale],
    columns: Columns<'_>,
    ending: Ending,
    to: *mut f32,
    stride: usize,
) {
    match ending {
        // SAFETY: the contracts are the same.
        Ending::Store => unsafe { finish_as::<S>(c, rows, columns, to, stride, |_, v| v) },
        // SAFETY: as above; what is there is read where it is then written.
        Ending::Add => unsafe {
            finish_as::<S>(c, rows, columns, to, stride, |to, v| S::add(S::load(to), v))
        },
        // SAFETY: as above.
        Ending::Gelu => unsafe { finish_as::<S>(c, rows, columns, to, stride, |_, v| Gelu.apply::<S>(v)) },
        Ending::CoarseGelu => {
            // SAFETY: as above.
            unsafe { finish_as::<S>(c, rows, columns, to, stride, |_, v| CoarseGelu.apply::<S>(v)) }
        }
    }
}

/// [`finish`], with what `end` makes of the place to write to and the sum.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn finish_as<S: Simd>(
    c: *const f32,
    rows: &[RowScale],
    columns: Columns<'_>,
    to: *mut f32,
    stride: usize,
    end: impl Fn(*const f32, S::V) -> S::V,
) {
    let mut column = 0;
    while column < PANEL {
        // SAFETY: row < rows, column + LANES ≤ 32.
        unsafe {
            let load = |from: &[f32; PANEL]| S::load(from.as_ptr().add(column));
            let (of_scale, of_sums, of_bias) = (load(columns.scale), load(columns.sums), load(columns.bias));
            for (row, of_row) in rows.iter().enumerate() {
                let to = to.add(row * stride + column);
                let excess = S::mul(S::splat(of_row.zero), of_sums);
                let scale = S::mul(S::splat(of_row.scale), of_scale);
                let sum = S::load(c.add(row * PANEL + column));
                S::store(to, end(to, S::fma(S::sub(sum, excess), scale, of_bias)));
            }
        }
        column += S::LANES;
    }
}
