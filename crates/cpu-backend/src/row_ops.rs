//! Operations on rows: layer norm, softmax, GELU, sums.

use crate::context::Context;
use crate::kernels::Disjoint;

/// Elements below which a share is not worth another thread.
const LEAST: usize = 16 * 1024;

/// `y = (x − mean) / sqrt(variance + eps) · gamma + beta` for each row of `x` `[rows, n]`, where n is the length
/// of `gamma` and `beta`. The variance is that of the whole row (divided by n), taken about the mean in a second
/// pass. Whisper's eps is 1e-5.
///
/// # Panics
/// When `x` and `y` differ in length, `gamma` and `beta` do, or rows are not whole.
pub fn layer_norm(ctx: &Context, x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "x and y are of one shape");
    let Some(rows) = row_count(x.len(), gamma.len()) else { return };
    let n = gamma.len();
    let (level, y) = (ctx.level(), Disjoint::new(y));
    ctx.split(rows, LEAST.div_ceil(n), |share| {
        for row in share {
            // SAFETY: each row belongs to one share.
            let to = unsafe { y.part(row * n, n) };
            level.layer_norm(&x[row * n..(row + 1) * n], gamma, beta, eps, to);
        }
    });
}

/// Replaces each row of `x` `[rows, n]` by e^(x − max) / Σ e^(x − max), all in f32 with an exponential that is at
/// most 1.5 ulp off. −∞ gives 0; a row with a NaN, or of −∞ only, becomes NaN.
///
/// # Panics
/// When rows are not whole.
pub fn softmax(ctx: &Context, x: &mut [f32], n: usize) {
    let Some(rows) = row_count(x.len(), n) else { return };
    let (level, x) = (ctx.level(), Disjoint::new(x));
    ctx.split(rows, LEAST.div_ceil(n), |share| {
        for row in share {
            // SAFETY: each row belongs to one share.
            let row = unsafe { x.part(row * n, n) };
            let most = level.largest(row);
            let sum = level.exp_sum(row, most);
            level.scale(row, 1.0 / sum);
        }
    });
}

/// Replaces each x by x·Φ(x), Φ the normal distribution: GELU with the exact error function, not with tanh.
/// For finite x it is off by at most 2e-7 · max(1, |x|).
pub fn gelu(ctx: &Context, x: &mut [f32]) {
    let (level, n, x) = (ctx.level(), x.len(), Disjoint::new(x));
    // SAFETY: shares do not overlap.
    ctx.split(n, LEAST, |share| level.gelu(unsafe { x.part(share.start, share.len()) }));
}

/// `x += y`.
///
/// # Panics
/// When they differ in length.
pub fn add(ctx: &Context, x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "x and y are of one shape");
    let (level, x) = (ctx.level(), Disjoint::new(x));
    ctx.split(y.len(), LEAST, |share| {
        // SAFETY: shares do not overlap.
        level.add(unsafe { x.part(share.start, share.len()) }, &y[share]);
    });
}

/// Rows of `n` in `len` elements; `None` when there is nothing to do.
fn row_count(len: usize, n: usize) -> Option<usize> {
    if len == 0 {
        return None;
    }
    assert!(n > 0 && len.is_multiple_of(n), "{len} elements are not rows of {n}");
    Some(len / n)
}
