//! Keys and values in whole numbers: every level against attention in f64 on what they stand for.

use super::{U, check, contexts, gamma, numbers, wide};
use crate::{Context, Keys, KvCache, KvStorage, Mask, Scores, attend, reference};

/// To nearest of 127 steps up to the largest, of the numbers at `at`.
fn quantise(x: &mut [f32], at: impl Iterator<Item = usize> + Clone) {
    let scale = at.clone().fold(0.0_f32, |most, i| most.max(x[i].abs())) / 127.0;
    let inverse = if scale >= f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
    at.for_each(|i| x[i] = (x[i] * inverse).round_ties_even() * scale);
}

/// Keys by head, values by channel.
fn rounded(k: &[f32], v: &[f32], heads: usize, head_dim: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut k, mut v) = (k.to_vec(), v.to_vec());
    (0..k.len() / head_dim).for_each(|head| quantise(&mut k, head * head_dim..(head + 1) * head_dim));
    let width = heads * head_dim;
    let len = v.len();
    (0..width).for_each(|channel| quantise(&mut v, (channel..len).step_by(width)));
    (k, v)
}

fn filled(ctx: &Context, k: &[f32], v: &[f32], heads: usize, head_dim: usize, capacity: usize) -> KvCache {
    let width = heads * head_dim;
    let mut cache = KvCache::new(heads, head_dim, capacity, KvStorage::Int8);
    // What was there before must not show.
    cache.fill(ctx, &vec![7.0; capacity * width], &vec![-7.0; capacity * width]).unwrap();
    cache.fill(ctx, k, v).unwrap();
    cache
}

/// `rows` queries against the first `len` of the cached positions `k` and `v`, which are of size 1 at most.
fn check_attention(
    ctx: &Context,
    cache: &KvCache,
    (k, v): (&[f32], &[f32]),
    (heads, head_dim, rows): (usize, usize, usize),
    mask: Mask,
) {
    let (width, len, factor) = (heads * head_dim, cache.len(), 0.3_f32);
    let q = numbers(1, rows * width);
    let mut got = vec![f32::NAN; rows * width];
    let last = heads - 1;
    let mut scores = vec![f32::NAN; rows * len];
    let wish = Scores { heads: &[last], out: &mut scores };
    attend(ctx, &q, Keys::Shared(cache), mask, factor, Some(wish), &mut got);

    let sees =
        |row: usize| if mask == Mask::None { len } else { (len + row + 1).saturating_sub(rows).min(len) };
    let (q, k, v) = (wide(&q), wide(&k[..len * width]), wide(&v[..len * width]));
    let want = reference::attention(&q, &k, &v, heads, head_dim, sees, f64::from(factor));
    // A query's 16 bits are off by a 65534th of its largest number, which is at most 1, and sums of whole numbers by little.
    let size = f64::from(factor) * head_dim as f64;
    let of_score = size * (1.0 / 65534.0 + gamma(head_dim + 6));
    // That is relative for weights, twice; each weight is off by a 65534th of the largest, which is 1, before all are divided
    // by their sum.
    let sum = |i: usize| {
        let (row, head) = (i / width, i % width / head_dim);
        let score = |key: usize| {
            let at = |x: &[f64], row: usize| x[row * width + head * head_dim..][..head_dim].to_vec();
            at(&q, row).iter().zip(at(&k, key)).map(|(a, b)| a * b).sum::<f64>() * f64::from(factor)
        };
        let scores: Vec<f64> = (0..sees(row)).map(score).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        scores.iter().map(|score| (score - most).exp()).sum::<f64>().max(1.0)
    };
    let sums: Vec<f64> = (0..rows * heads).map(|i| sum(i / heads * width + i % heads * head_dim)).collect();
    let bound = |i: usize| {
        let sum = sums[i / width * heads + i % width / head_dim];
        2.0 * (of_score + 4.0 * U) + len as f64 / 65534.0 / sum + 2.0 * gamma(len + 8)
    };
    let what = format!("{ctx:?} {mask:?} {heads} × {head_dim}, {rows} rows, {len} keys");
    check(&what, &got, &want, bound);
    for (i, &score) in scores.iter().enumerate() {
        let (row, key) = (i / len, i % len);
        let part = |x: &[f64], at: usize| x[at * width + last * head_dim..][..head_dim].to_vec();
        let products = part(&q, row).into_iter().zip(part(&k, key)).map(|(a, b)| a * b);
        let want = products.sum::<f64>() * f64::from(factor);
        if key < sees(row) {
            assert!((f64::from(score) - want).abs() <= of_score, "{what}: score {i}");
        } else {
            assert_eq!(score, f32::NEG_INFINITY, "{what}: score {i}");
        }
    }
}

#[test]
fn attention_is_that_of_what_whole_numbers_stand_for() {
    for ctx in contexts() {
        for (heads, head_dim, rows, keys) in [
            (1, 64, 1, 1),
            (2, 64, 1, 31),
            (3, 64, 2, 33),
            (2, 64, 5, 1500),
            (2, 32, 6, 100),
            (2, 33, 7, 65),
            (1, 5, 13, 40),
            (3, 1, 3, 6),
            (2, 96, 20, 20),
        ] {
            let width = heads * head_dim;
            let (k, v) = (numbers(2, keys * width), numbers(3, keys * width));
            let cache = filled(&ctx, &k, &v, heads, head_dim, keys + 5);
            let (k, v) = rounded(&k, &v, heads, head_dim);
            for mask in [Mask::None, Mask::Causal] {
                check_attention(&ctx, &cache, (&k, &v), (heads, head_dim, rows), mask);
            }
            let mut shorter = cache.empty_like();
            shorter.copy_from(&cache);
            shorter.truncate(keys / 2 + 1);
            check_attention(&ctx, &shorter, (&k, &v), (heads, head_dim, rows), Mask::None);
        }
    }
}

#[test]
fn an_emptied_cache_gives_zeros_and_none_can_be_extended() {
    for ctx in contexts() {
        let mut cache = filled(&ctx, &[1.0; 64], &[1.0; 64], 1, 64, 1);
        let error = cache.extend(&[1.0; 64], &[1.0; 64]).unwrap_err().to_string();
        assert!(error.contains("1 positions do not fit"), "{error}");
        cache.truncate(0);
        let error = cache.extend(&[1.0; 64], &[1.0; 64]).unwrap_err().to_string();
        assert!(error.contains("one scale over all positions"), "{error}");
        let mut out = [f32::NAN; 64];
        attend(&ctx, &[1.0; 64], Keys::Shared(&cache), Mask::None, 1.0, None, &mut out);
        assert_eq!(out, [0.0; 64], "{ctx:?}");
    }
}

#[test]
fn what_is_no_number_stays_none() {
    for ctx in contexts() {
        for bad in [f32::NAN, f32::INFINITY] {
            let (k, mut v) = (numbers(6, 3 * 64), numbers(7, 3 * 64));
            v[64 + 7] = bad;
            let cache = filled(&ctx, &k, &v, 1, 64, 3);
            let mut out = [0.0; 64];
            attend(&ctx, &numbers(8, 64), Keys::Shared(&cache), Mask::None, 1.0, None, &mut out);
            assert!(out.iter().enumerate().all(|(i, v)| v.is_finite() == (i != 7)), "{ctx:?} {bad}: {out:?}");
            let (mut k, v) = (numbers(6, 3 * 64), numbers(7, 3 * 64));
            k[64 + 7] = bad;
            let cache = filled(&ctx, &k, &v, 1, 64, 3);
            attend(&ctx, &numbers(8, 64), Keys::Shared(&cache), Mask::None, 1.0, None, &mut out);
            assert!(out.iter().all(|v| v.is_nan()), "{ctx:?} {bad}: {out:?}");
        }
    }
}
