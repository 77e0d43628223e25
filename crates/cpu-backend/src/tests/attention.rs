//! Attention of many and of few queries.

use super::{U, U_BF16, check, contexts, gamma, numbers, wide};
use crate::{Context, Keys, KvCache, KvStorage, Mask, Scores, attend, attention, reference};
use half::{bf16, f16};

/// Relative to the largest value: scores carry γ of head_dim times their size, exponentials turn that absolute
/// error into a relative one (twice: numerator and sum); sums over the keys add γ of keys twice.
fn bound(head_dim: usize, keys: usize, scale: f32) -> f64 {
    // |q|, |k| ≤ 1 here, so a score is at most scale · head_dim in size.
    let score = f64::from(scale) * head_dim as f64;
    2.0 * (gamma(head_dim + 2) * score + 2.0 * U * score + 4.0 * U) + 2.0 * gamma(keys + 8)
}

/// What rounding to bf16 adds where the context does it: queries and keys shift a score by two roundings of its size, and
/// so its weight; weights and values are rounded themselves.
fn narrowing(ctx: &Context, size: f64) -> f64 {
    if ctx.bf16_products() {
        2.0 * (2.0 * U_BF16 + U_BF16 * U_BF16) * size * 1.05 + 3.0 * U_BF16
    } else {
        0.0
    }
}

fn rounded(x: &[f32], storage: KvStorage) -> Vec<f32> {
    x.iter()
        .map(|&v| match storage {
            KvStorage::F32 => v,
            KvStorage::F16 => f16::from_f32(v).to_f32(),
            KvStorage::Bf16 => bf16::from_f32(v).to_f32(),
            KvStorage::Int8 => unreachable!("tests::quantised rounds by rows and channels"),
        })
        .collect()
}

fn check_many(ctx: &Context, heads: usize, head_dim: usize, queries: usize, keys: usize, mask: Mask) {
    let width = heads * head_dim;
    let (q, k, v) = (numbers(1, queries * width), numbers(2, keys * width), numbers(3, keys * width));
    let scale = 1.0 / (head_dim as f32).sqrt();
    // Stale content must not show.
    let mut got = vec![f32::NAN; queries * width];
    attention(ctx, &q, &k, &v, heads, head_dim, mask, scale, &mut got);
    let visible = |row: usize| match mask {
        Mask::None => keys,
        Mask::Causal => (keys + row + 1).saturating_sub(queries),
    };
    let want = reference::attention(&wide(&q), &wide(&k), &wide(&v), heads, head_dim, visible, scale.into());
    let what = format!("{ctx:?} {mask:?} {heads}×{head_dim}, {queries} queries, {keys} keys");
    let narrow = narrowing(ctx, f64::from(scale) * head_dim as f64);
    check(&what, &got, &want, |_| bound(head_dim, keys, scale) + narrow);
}

#[test]
fn many_queries() {
    for ctx in contexts() {
        for head_dim in [64, 1, 5, 33] {
            for queries in [1, 3, 11, 12, 13, 47, 48, 49, 65, 100] {
                for keys in [1, 31, 32, 33, 255, 256, 257, 300] {
                    if head_dim == 64 || queries % 2 == 1 {
                        check_many(&ctx, 2, head_dim, queries, keys, Mask::None);
                    }
                }
            }
        }
        check_many(&ctx, 3, 64, 0, 5, Mask::None);
        check_many(&ctx, 3, 64, 5, 0, Mask::None);
        check_many(&ctx, 1, 128, 20, 600, Mask::None);
    }
}

/// Equal scores: each output counts the keys whose value has a one there, and no others, to the last one. Exact in bf16, too.
#[test]
fn no_key_is_left_out_and_none_is_made_up() {
    let (queries, d) = (50, 64);
    for ctx in contexts() {
        for keys in [1, 31, 32, 33, 65, 255, 256, 257, 300, 1499, 1500, 1501] {
            let (q, k) = (vec![0.0; queries * d], numbers(2, keys * d));
            let v: Vec<f32> = (0..keys * d).map(|i| f32::from(u8::from(i % d == i / d % d))).collect();
            for mask in [Mask::None, Mask::Causal] {
                let mut got = vec![f32::NAN; queries * d];
                attention(&ctx, &q, &k, &v, 1, d, mask, 0.125, &mut got);
                let want: Vec<f64> = (0..queries * d)
                    .map(|i| {
                        let seen = match mask {
                            Mask::None => keys,
                            Mask::Causal => (keys + i / d + 1).saturating_sub(queries),
                        };
                        let counted = (0..seen).filter(|key| key % d == i % d).count();
                        counted as f64 / (seen as f64).max(1.0)
                    })
                    .collect();
                check(&format!("{ctx:?} {mask:?}, {keys} keys"), &got, &want, |i| 1e-6 * want[i]);
            }
        }
    }
}

/// Each query is meant for one key: the key's bits, of which two differ in five places at least. What it gets is that key's
/// value, whether the scores tower or are in reach of each other.
#[test]
fn every_key_is_found_with_its_own_value() {
    let d = 64;
    let code = |key: usize| (0..d).map(move |i| if i < 55 && key >> (i % 11) & 1 == 1 { 1.0 } else { -1.0 });
    for ctx in contexts() {
        for (keys, step) in [(31, 1), (33, 1), (257, 1), (1500, 29)] {
            let sought: Vec<usize> = (0..keys).rev().step_by(step).collect();
            let k: Vec<f32> = (0..keys).flat_map(code).collect();
            let v: Vec<f32> = numbers(3, keys * d).iter().map(|&v| bf16::from_f32(v).to_f32()).collect();
            for size in [16.0_f32, 64.0] {
                let q: Vec<f32> = sought.iter().flat_map(|&key| code(key).map(|bit| bit * size)).collect();
                let want = reference::attention(&wide(&q), &wide(&k), &wide(&v), 1, d, |_| keys, 0.125);
                let mut got = vec![f32::NAN; q.len()];
                attention(&ctx, &q, &k, &v, 1, d, Mask::None, 0.125, &mut got);
                let bound = if ctx.bf16_products() { 3.0 * U_BF16 } else { 1e-4 };
                check(&format!("{ctx:?}, {keys} keys, {size}"), &got, &want, |_| bound);
            }
        }
    }
}

#[test]
fn many_causal_queries() {
    for ctx in contexts() {
        for (queries, keys) in
            [(1, 1), (5, 5), (48, 48), (100, 100), (300, 300), (4, 300), (270, 290), (9, 4)]
        {
            check_many(&ctx, 2, 64, queries, keys, Mask::Causal);
        }
    }
}

/// The shape of an encoder's head, held to what the rounding of such sums comes to in practice.
#[test]
fn whisper_sized_keys_within_one_in_a_hundred_thousand() {
    let (queries, keys, width) = (50, 1500, 64);
    let (q, k, v) = (numbers(1, queries * width), numbers(2, keys * width), numbers(3, keys * width));
    let (q, v): (Vec<f32>, Vec<f32>) =
        (q.iter().map(|q| q * 8.0).collect(), v.iter().map(|v| v + 1.0).collect());
    let want = reference::attention(&wide(&q), &wide(&k), &wide(&v), 1, width, |_| keys, 0.125);
    for ctx in contexts() {
        let mut got = vec![f32::NAN; queries * width];
        attention(&ctx, &q, &k, &v, 1, width, Mask::None, 0.125, &mut got);
        let narrow = if ctx.bf16_products() { 1e-2 } else { 0.0 };
        check(&format!("{ctx:?}"), &got, &want, |i| (1e-5 + narrow) * want[i].abs());
    }
}

/// Scores far above those of the first keys, and what is no number, leave the way that hopes for neither.
#[test]
fn a_late_score_that_towers_over_all_and_one_that_is_no_number() {
    for ctx in contexts() {
        let (keys, queries, d) = (100, 14, 64);
        let (mut q, v) = (vec![0.5; queries * d], numbers(3, keys * d));
        let k: Vec<f32> = (0..keys * d).map(|i| if i / d == 70 { 64.0 } else { 0.0 }).collect();
        let mut got = vec![0.0; queries * d];
        attention(&ctx, &q, &k, &v, 1, d, Mask::None, 0.125, &mut got);
        let narrow = if ctx.bf16_products() { U_BF16 } else { 1e-6 };
        // A score of 256 against zeros: all weight is on one value.
        let want: Vec<f64> = (0..queries * d).map(|i| f64::from(v[70 * d + i % d])).collect();
        check(&format!("{ctx:?}"), &got, &want, |_| narrow);
        q[3 * d] = f32::NAN;
        attention(&ctx, &q, &k, &v, 1, d, Mask::None, 0.125, &mut got);
        assert!(got.iter().enumerate().all(|(i, v)| v.is_nan() == (i / d == 3)), "{ctx:?}: {got:?}");
    }
}

/// Working memory is kept: rows of it that fill up the last tile of queries once belonged to others.
#[test]
fn what_a_thread_did_before_changes_nothing() {
    let (keys, d) = (100, 64);
    let ramp: Vec<f32> = (0..keys * d).map(|i| if i / d == 70 { 64.0 } else { 0.0 }).collect();
    for ctx in contexts() {
        // In the second, a late score raises the alarm.
        for (queries, k) in [(100, numbers(2, keys * d)), (14, ramp.clone())] {
            let (q, v) = (numbers(1, queries * d), numbers(3, keys * d));
            let q: Vec<f32> = q.iter().map(|q| q.abs()).collect();
            let run = |q: &[f32], k: &[f32]| {
                let mut out = vec![0.0; q.len()];
                attention(&ctx, q, k, &v, 1, d, Mask::None, 0.125, &mut out);
                out.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
            };
            let after = |before: f32| {
                // A thread of its own has fresh memory.
                let task = || {
                    run(&vec![before; 132 * d], &numbers(5, keys * d));
                    run(&q, &k)
                };
                std::thread::scope(|threads| threads.spawn(task).join().unwrap())
            };
            let want = after(0.0);
            for before in [30.0, 3000.0, f32::NAN, f32::INFINITY] {
                assert!(after(before) == want, "{ctx:?}, {queries} queries after some of {before}");
            }
        }
    }
}

/// Growing maxima exercise the rescaling; large scores the exponential's range.
#[test]
fn scores_that_grow_from_block_to_block() {
    for ctx in contexts() {
        let (keys, queries, d) = (1000, 30, 64);
        let (q, v) = (vec![1.0; queries * d], numbers(3, keys * d));
        let k: Vec<f32> = (0..keys * d).map(|i| (i / d) as f32 / 1000.0 * 20.0).collect();
        let mut got = vec![0.0; queries * d];
        attention(&ctx, &q, &k, &v, 1, d, Mask::None, 0.125, &mut got);
        let want = reference::attention(&wide(&q), &wide(&k), &wide(&v), 1, d, |_| keys, 0.125);
        // Scores up to 160, each with γ(66) · 160 of error.
        // In bf16 keys that differ by less than a rounding become equal: weights are anywhere among those of such keys.
        let narrow = if ctx.bf16_products() { narrowing(&ctx, 160.0) } else { 0.0 };
        check(&format!("{ctx:?}"), &got, &want, |_| 2.0 * gamma(70) * 160.0 + 2.0 * gamma(keys) + narrow);
    }
}

#[test]
fn few_queries_against_one_cache() {
    let (heads, head_dim) = (3, 64);
    let width = heads * head_dim;
    for ctx in contexts() {
        for storage in [KvStorage::F32, KvStorage::F16, KvStorage::Bf16] {
            for (rows, keys) in
                [(1, 1), (1, 31), (1, 33), (2, 64), (3, 65), (5, 100), (8, 40), (9, 257), (20, 20)]
            {
                for mask in [Mask::None, Mask::Causal] {
                    let (k, v) = (numbers(2, keys * width), numbers(3, keys * width));
                    let q = numbers(1, rows * width);
                    let mut cache = KvCache::new(heads, head_dim, keys + 3, storage);
                    // In two parts, after something that is forgotten again.
                    cache.extend(&q[..width], &q[..width]).unwrap();
                    cache.truncate(0);
                    let cut = keys / 2 * width;
                    cache.extend(&k[..cut], &v[..cut]).unwrap();
                    cache.extend(&k[cut..], &v[cut..]).unwrap();
                    let mut got = vec![f32::NAN; rows * width];
                    let mut scores = vec![f32::NAN; rows * 2 * keys];
                    let wish = Scores { heads: &[2, 0], out: &mut scores };
                    attend(&ctx, &q, Keys::Shared(&cache), mask, 0.125, Some(wish), &mut got);

                    let (k, v) = (wide(&rounded(&k, storage)), wide(&rounded(&v, storage)));
                    let sees = |row: usize| {
                        if mask == Mask::None { keys } else { (keys + row + 1).saturating_sub(rows) }
                    };
                    let q = wide(&q);
                    let want = reference::attention(&q, &k, &v, heads, head_dim, sees, 0.125);
                    let what = format!("{ctx:?} {storage:?} {mask:?} {rows} rows, {keys} keys");
                    check(&what, &got, &want, |_| bound(head_dim, keys, 0.125));
                    for (i, &got) in scores.iter().enumerate() {
                        let (row, head, key) = (i / keys / 2, [2, 0][i / keys % 2], i % keys);
                        let part = |x: &[f64], at: usize| x[at * width + head * 64..][..64].to_vec();
                        let products = part(&q, row).into_iter().zip(part(&k, key)).map(|(a, b)| a * b);
                        let want = products.sum::<f64>() * 0.125;
                        if key < sees(row) {
                            assert!((f64::from(got) - want).abs() < gamma(66) * 8.0, "{what}: score {i}");
                        } else {
                            assert_eq!(got, f32::NEG_INFINITY, "{what}: score {i}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn each_query_against_its_own_cache() {
    let (heads, head_dim) = (2, 64);
    let width = heads * head_dim;
    for ctx in contexts() {
        let mut caches = Vec::new();
        for (i, len) in [7, 40, 0].into_iter().enumerate() {
            let mut cache = KvCache::new(heads, head_dim, 64, KvStorage::F32);
            cache.extend(&numbers(10 + i as u64, len * width), &numbers(20 + i as u64, len * width)).unwrap();
            caches.push(cache);
        }
        // A beam that takes another's place, and goes on by itself.
        let mut moved = KvCache::new(heads, head_dim, 64, KvStorage::F32);
        moved.copy_from(&caches[1]);
        moved.truncate(33);
        caches.push(moved);
        let q = numbers(1, 4 * width);
        let mut got = vec![f32::NAN; 4 * width];
        let list: Vec<&KvCache> = caches.iter().collect();
        attend(&ctx, &q, Keys::Each(&list), Mask::Causal, 0.125, None, &mut got);
        for (row, (source, len)) in [(0, 7), (1, 40), (2, 0), (1, 33)].into_iter().enumerate() {
            let full = [7, 40, 0][source];
            let k = numbers(10 + source as u64, full * width)[..len * width].to_vec();
            let v = numbers(20 + source as u64, full * width)[..len * width].to_vec();
            let part = row * width..(row + 1) * width;
            let want = reference::attention(
                &wide(&q[part.clone()]),
                &wide(&k),
                &wide(&v),
                heads,
                head_dim,
                |_| len,
                0.125,
            );
            check(&format!("{ctx:?} row {row}"), &got[part], &want, |_| bound(head_dim, len, 0.125));
        }
    }
}

#[test]
fn a_full_cache_refuses_more_and_keeps_what_it_has() {
    let mut cache = KvCache::new(1, 4, 2, KvStorage::F16);
    cache.extend(&[0.0; 4], &[0.0; 4]).unwrap();
    let error = cache.extend(&[0.0; 8], &[0.0; 8]).unwrap_err().to_string();
    assert!(error.contains("2 positions do not fit behind 1 of 2"), "{error}");
    assert!(cache.extend(&[0.0; 3], &[0.0; 3]).is_err());
    assert!(cache.extend(&[0.0; 4], &[]).is_err());
    assert_eq!((cache.len(), cache.capacity()), (1, 2));
}

#[test]
fn nothing_fills_a_cache_without_room() {
    for storage in [KvStorage::F32, KvStorage::F16, KvStorage::Bf16] {
        for capacity in [0, 3] {
            let mut cache = KvCache::new(2, 4, capacity, storage);
            cache.fill(&contexts()[0], &[], &[]).unwrap();
            assert_eq!(cache.len(), 0);
        }
        assert!(KvCache::new(2, 4, 0, storage).fill(&contexts()[0], &[0.0; 8], &[0.0; 8]).is_err());
    }
}

#[test]
fn filled_is_extended() {
    for ctx in contexts() {
        for storage in [KvStorage::F32, KvStorage::F16, KvStorage::Bf16] {
            for (head_dim, positions) in [(64, 100), (5, 33), (1, 1), (33, 64), (8, 0)] {
                let width = 3 * head_dim;
                let (q, k, v) =
                    (numbers(3, width), numbers(1, positions * width), numbers(2, positions * width));
                let mut want = KvCache::new(3, head_dim, positions + 2, storage);
                let mut got = want.clone();
                // What was there before must not show.
                got.extend(&vec![7.0; 2 * width], &vec![7.0; 2 * width]).unwrap();
                want.extend(&k, &v).unwrap();
                got.fill(&ctx, &k, &v).unwrap();
                assert_eq!(got.len(), want.len());
                let outcome = |cache: &KvCache| {
                    let mut out = vec![f32::NAN; width];
                    attend(&ctx, &q, Keys::Shared(cache), Mask::None, 0.3, None, &mut out);
                    out
                };
                assert_eq!(outcome(&got), outcome(&want), "{storage:?} {head_dim} × {positions}");
            }
        }
    }
}
