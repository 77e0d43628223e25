//! Products of 8-bit whole numbers (AVX-512 VNNI): four times the multiply-adds of f32 per instruction.

use crate::kernels::{Beyond, PANEL, RowScale, TILE_ROWS};
use std::arch::x86_64::*;

/// `c[12][32] = Σ a[r][k] · b[k][o]` for u8 times i8: rows of `a` are `lda` bytes apart, `b` holds groups of four rows
/// interleaved (`generic::matrix::QuadsI8`). Sums are exact in 32 bits (up to `MAX_BYTE_DEPTH`) and then rounded to f32.
///
/// # Safety
/// The instructions named; 12 rows of `quads` quads in `a`, `quads` groups of 128 bytes in `b`, 12 rows of 32 at stride
/// `ldc` in `c`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[allow(clippy::needless_range_loop, reason = "the index is that of several arrays")]
pub(crate) unsafe fn tile_u8(a: *const u8, lda: usize, b: *const u8, quads: usize, c: *mut f32, ldc: usize) {
    // SAFETY: offsets stay inside what the caller vouches for.
    unsafe {
        let mut acc = [[_mm512_setzero_si512(); 2]; TILE_ROWS];
        for quad in 0..quads {
            let right = b.add(quad * 4 * PANEL);
            let right = [_mm512_loadu_si512(right.cast()), _mm512_loadu_si512(right.add(64).cast())];
            for i in 0..TILE_ROWS {
                let left = _mm512_set1_epi32(a.add(i * lda + quad * 4).cast::<i32>().read_unaligned());
                acc[i][0] = _mm512_dpbusd_epi32(acc[i][0], left, right[0]);
                acc[i][1] = _mm512_dpbusd_epi32(acc[i][1], left, right[1]);
            }
        }
        for i in 0..TILE_ROWS {
            for v in 0..2 {
                _mm512_storeu_ps(c.add(i * ldc + v * 16), _mm512_cvtepi32_ps(acc[i][v]));
            }
        }
    }
}

/// A 255th of low…high, but at least the least normal number, so that its inverse is finite. Halves, which are exact,
/// differ by no more than f32 holds.
fn step(low: f32, high: f32) -> f32 {
    ((high * 0.5 - low * 0.5) / 127.5).max(f32::MIN_POSITIVE)
}

/// Lanes of a row, of sixteen, whose largest numbers may lie beyond the range of its 255 steps; as many at each end.
const LANES_BEYOND: usize = 4;

/// How many times wider the range of all must be for it; at the other end, one that f32's sums of steps would lose the rest in
/// keeps its steps.
const WORTH: f32 = 2.0;

/// Rounds `n` numbers to u8, x ≈ (u − zero)·scale, in 255 steps so that 0 is exact; then `zero` up to `bytes`. The scale is
/// NaN when a number is not finite.
///
/// The few largest numbers of a row would make the steps of all others wide, so the range leaves them out: it goes to the
/// fifth of the lanes' sixteen extremes. What they exceed it by is kept in `beyond`, as far as that has room; otherwise
/// the range is that of all.
///
/// # Safety
/// The instructions named; `x` holds n numbers, `out` has room for `bytes` ≥ n.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(crate) unsafe fn quantise(
    x: *const f32,
    n: usize,
    out: *mut u8,
    bytes: usize,
    beyond: &mut Beyond,
) -> RowScale {
    // SAFETY: reads stay below n (masked loads do not touch what they leave out), writes below `bytes` ≥ n.
    unsafe {
        let (mut low, mut high) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        // A sum with NaN in it is NaN, and so is one of infinities times zero.
        let mut poison = _mm512_setzero_ps();
        for i in (0..n).step_by(16) {
            let v = _mm512_maskz_loadu_ps(lanes(n - i), x.add(i));
            low = _mm512_min_ps(low, v);
            high = _mm512_max_ps(high, v);
            poison = _mm512_fmadd_ps(v, _mm512_setzero_ps(), poison);
        }
        let poison = _mm512_reduce_add_ps(poison);
        let all = (_mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high));
        let inner = (-inner_extreme(_mm512_sub_ps(_mm512_setzero_ps(), low)), inner_extreme(high));
        let (whole, most) = (all.1 - all.0, inner.1 - inner.0);
        beyond.clear();
        let narrowed = if whole > WORTH * most && whole < most / f32::EPSILON {
            steps(x, n, inner, out, Some(beyond))
        } else {
            None
        };
        let row = narrowed.unwrap_or_else(|| {
            beyond.clear();
            steps(x, n, all, out, None).unwrap_or_default()
        });
        out.add(n).write_bytes(row.zero as u8, bytes - n);
        RowScale { scale: row.scale + poison, ..row }
    }
}

/// The lowest `count` lanes, at most all.
fn lanes(count: usize) -> u16 {
    if count < 16 { (1 << count) - 1 } else { !0 }
}

/// The largest lane after [`LANES_BEYOND`] of them are left out.
///
/// # Safety
/// AVX-512 F.
#[target_feature(enable = "avx512f")]
unsafe fn inner_extreme(mut v: __m512) -> f32 {
    for _ in 0..LANES_BEYOND {
        let most = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(v, _mm512_set1_ps(_mm512_reduce_max_ps(v)));
        // One lane of those that are equal.
        v = _mm512_mask_mov_ps(v, most & most.wrapping_neg(), _mm512_setzero_ps());
    }
    _mm512_reduce_max_ps(v)
}

/// Rounds to the steps of a range that holds 0. Numbers outside become its ends, and what they exceed those by, in steps, goes to
/// `beyond`. `None` when that has no room.
///
/// # Safety
/// As [`quantise`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn steps(
    x: *const f32,
    n: usize,
    (low, high): (f32, f32),
    out: *mut u8,
    mut beyond: Option<&mut Beyond>,
) -> Option<RowScale> {
    let scale = step(low, high);
    let inverse = 1.0 / scale;
    let zero = (-low * inverse).round_ties_even().clamp(0.0, 255.0);
    let (factor, shift) = (_mm512_set1_ps(inverse), _mm512_set1_epi32(zero as i32));
    let (least, most) = (_mm512_set1_ps(-0.5 - zero), _mm512_set1_ps(255.5 - zero));
    // SAFETY: as of the caller.
    unsafe {
        for i in (0..n).step_by(16) {
            let v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes(n - i), x.add(i)), factor);
            let u = _mm512_add_epi32(_mm512_cvtps_epi32(v), shift);
            let u = _mm512_max_epi32(u, _mm512_setzero_si512());
            _mm_mask_storeu_epi8(out.add(i).cast(), lanes(n - i), _mm512_cvtusepi32_epi8(u));
            if let Some(beyond) = &mut beyond {
                let under = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(v, least);
                let mut outside = under | _mm512_cmp_ps_mask::<_CMP_GT_OQ>(v, most);
                while outside != 0 {
                    let lane = outside.trailing_zeros() as usize;
                    let kept = if under & (1 << lane) != 0 { 0.0 } else { 255.0 };
                    if !beyond.push(i + lane, *x.add(i + lane) * inverse + zero - kept) {
                        return None;
                    }
                    outside &= outside - 1;
                }
            }
        }
    }
    Some(RowScale { scale, zero })
}

/// `c[32] += steps · b[at]` for each (at, steps) of `places`, with row `at` of what [`tile_u8`] reads.
///
/// # Safety
/// AVX-512 F; `b` holds the groups of four rows that each `at` lies in, `c` 32 numbers.
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn add_rows(b: *const u8, places: &[(u32, f32)], c: *mut f32) {
    // SAFETY: offsets stay inside what the caller vouches for.
    unsafe {
        // In registers from the first place to the last: through memory each would wait for the one before.
        let mut sums = [_mm512_loadu_ps(c), _mm512_loadu_ps(c.add(16))];
        for &(at, steps) in places {
            let up = _mm_cvtsi32_si128(24 - 8 * (at % 4) as i32);
            let quads = b.add(at as usize / 4 * 4 * PANEL);
            for (v, sum) in sums.iter_mut().enumerate() {
                let quads = _mm512_loadu_si512(quads.add(v * 64).cast());
                let row = _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(_mm512_sll_epi32(quads, up)));
                *sum = _mm512_fmadd_ps(row, _mm512_set1_ps(steps), *sum);
            }
        }
        _mm512_storeu_ps(c, sums[0]);
        _mm512_storeu_ps(c.add(16), sums[1]);
    }
}
