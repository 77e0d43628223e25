//! Attention in whole numbers, held to what its roundings come to at most.

use super::{check, contexts, gamma, numbers, wide};
use crate::{Context, Mask, attention, reference};

/// Contexts whose attention is in 8 or 16 bits.
fn whole_contexts() -> Vec<(Context, Steps)> {
    let contexts = contexts().into_iter().map(Context::with_int8_activations);
    let contexts: Vec<_> = contexts.filter_map(|ctx| Steps::of(&ctx).map(|steps| (ctx, steps))).collect();
    if contexts.is_empty() {
        eprintln!("skipped: this machine has no integer products");
    }
    contexts
}

/// Largest whole numbers.
#[derive(Clone, Copy)]
struct Steps {
    /// Of queries and keys, by dimensions of a head.
    score: fn(usize) -> f64,
    value: f64,
    weight: f64,
    /// What the power's polynomial and the scores' arithmetic in f32 are off by, relative.
    power: f64,
}

impl Steps {
    /// Those of the context's attention, if that is in whole numbers.
    fn of(ctx: &Context) -> Option<Self> {
        // Sums of 64 products of 5792², or 128 of 4095², are below 2³¹.
        let of_both = |d: usize| (2_147_483_647.0 / d as f64).sqrt().floor().min(32767.0);
        if ctx.int8_products() {
            Some(Self { score: |_| 127.0, value: 127.0, weight: 255.0, power: 1e-4 })
        } else if ctx.i16_products() {
            Some(Self { score: of_both, value: 4095.0, weight: 4095.0, power: 2e-5 })
        } else {
            None
        }
    }
}

/// Keys whose weights share a step.
const BLOCK: usize = 128;

/// One head's operands.
struct Head {
    queries: Vec<f64>,
    keys: Vec<f64>,
    values: Vec<f64>,
    d: usize,
    scale: f64,
    steps: Steps,
}

impl Head {
    /// How far each output of query `row` over the first `seen` keys may be off, `[d]`.
    ///
    /// A number of a row is off by half a step of the row's own, say a 127th of its largest; so a score is off by the sums of one
    /// factor's sizes times the other's half step. That shifts its weight, which is then rounded by half, say, a 255th of the
    /// block's largest product of weight and value scale. Numerator and denominator of the softmax add these up.
    fn bound(&self, row: usize, seen: usize) -> Vec<f64> {
        let (d, Steps { score, value, weight: weights_to, power }) = (self.d, self.steps);
        let score_steps = score(d);
        let part = |all: &[f64], i: usize| all[i * d..(i + 1) * d].to_vec();
        let largest = |x: &[f64]| x.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let size = |x: &[f64]| x.iter().map(|x| x.abs()).sum::<f64>();
        let q = part(&self.queries, row);
        let q_step = largest(&q) / score_steps;
        let mut weights = Vec::new();
        for j in 0..seen {
            let (k, v) = (part(&self.keys, j), part(&self.values, j));
            let k_step = largest(&k) / score_steps;
            let off = self.scale
                * (size(&q) * k_step / 2.0 + size(&k) * q_step / 2.0 + d as f64 * q_step * k_step / 4.0);
            let score = self.scale * q.iter().zip(&k).map(|(q, k)| q * k).sum::<f64>();
            // The sum with the zero point at 128 is exact, its two products round.
            let rounding =
                gamma(4) * self.scale * 2.0 * d as f64 * score_steps * score_steps * q_step * k_step;
            weights.push((score, off + rounding, largest(&v) / value, v));
        }
        let most = weights.iter().map(|w| w.0).fold(f64::NEG_INFINITY, f64::max);
        let (mut of_sums, mut of_total, mut total) = (vec![0.0; d], 0.0, 0.0);
        let mut exact = vec![0.0; d];
        for block in weights.chunks(BLOCK) {
            let half_step = block
                .iter()
                .map(|(score, off, step, _)| (score - most + off).exp() * step)
                .fold(0.0_f64, f64::max)
                * (0.5 / weights_to + power);
            for (score, off, step, v) in block {
                let weight = (score - most).exp();
                let shift = weight * (off.exp() - 1.0 + power);
                for (i, v) in v.iter().enumerate() {
                    of_sums[i] += shift * v.abs() + (weight + shift) * step / 2.0 + half_step * value;
                    exact[i] += weight * v;
                }
                of_total += shift;
                total += weight;
            }
        }
        // |N′/D′ − N/D| with D′ ≥ D − |D′ − D|.
        let least = total - of_total;
        let of = |(of_sum, exact): (f64, f64)| (of_sum + (exact / total).abs() * of_total) / least;
        of_sums
            .into_iter()
            .zip(exact)
            .map(|pair| if least > 0.0 { of(pair) } else { f64::INFINITY })
            .collect()
    }
}

fn head(x: &[f32], heads: usize, d: usize, head: usize) -> Vec<f64> {
    x.chunks(heads * d).flat_map(|row| wide(&row[head * d..(head + 1) * d])).collect()
}

fn check_against_bound(
    (ctx, steps): &(Context, Steps),
    heads: usize,
    d: usize,
    [q, k, v]: [&[f32]; 3],
    scale: f32,
    mask: Mask,
) {
    let width = heads * d;
    let (queries, keys) = (q.len() / width, k.len() / width);
    let visible = |row: usize| match mask {
        Mask::None => keys,
        Mask::Causal => (keys + row + 1).saturating_sub(queries).min(keys),
    };
    // Stale content must not show.
    let mut got = vec![f32::NAN; q.len()];
    attention(ctx, q, k, v, heads, d, mask, scale, &mut got);
    let want = reference::attention(&wide(q), &wide(k), &wide(v), heads, d, visible, scale.into());
    let mut bounds = vec![0.0; q.len()];
    for of in 0..heads {
        let [queries, keys, values] = [q, k, v].map(|x| head(x, heads, d, of));
        let one = Head { queries, keys, values, d, scale: scale.into(), steps: *steps };
        for (row, to) in bounds.chunks_exact_mut(width).enumerate() {
            to[of * d..(of + 1) * d].copy_from_slice(&one.bound(row, visible(row)));
        }
    }
    let what = format!("{ctx:?} {mask:?} {heads}×{d}, {queries} queries, {keys} keys");
    // A bound that lets everything pass shows nothing.
    let largest = v.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    let loosest = bounds.iter().fold(0.0_f64, |most, bound| most.max(*bound));
    assert!(loosest <= f64::from(largest), "{what}: {loosest} of {largest} may be off");
    check(&what, &got, &want, |i| bounds[i] + 1e-30);
}

#[test]
fn every_shape_within_its_roundings() {
    for whole in whole_contexts() {
        for (heads, d) in [(2, 64), (1, 1), (2, 5), (1, 33), (1, 128)] {
            for (queries, keys) in
                [(1, 1), (13, 31), (12, 32), (11, 33), (3, 127), (5, 128), (50, 129), (7, 300), (2, 1500)]
            {
                let width = heads * d;
                let (q, k, v) =
                    (numbers(1, queries * width), numbers(2, keys * width), numbers(3, keys * width));
                // Weights that are much alike, and some that tower as far as the bound still means something.
                for size in [1.0, 3.0] {
                    let q: Vec<f32> = q.iter().map(|q| q * size).collect();
                    let scale = 1.0 / (d as f32).sqrt();
                    check_against_bound(&whole, heads, d, [&q, &k, &v], scale, Mask::None);
                    check_against_bound(&whole, heads, d, [&q, &k, &v], scale, Mask::Causal);
                }
            }
        }
        let ctx = &whole.0;
        let mut none = [];
        attention(ctx, &[], &numbers(1, 128), &numbers(2, 128), 2, 64, Mask::None, 0.125, &mut none);
        let mut zeros = [f32::NAN; 128];
        attention(ctx, &numbers(1, 128), &[], &[], 2, 64, Mask::None, 0.125, &mut zeros);
        assert_eq!(zeros, [0.0; 128], "{ctx:?}: a query without keys");
    }
}

/// Each value's scale is its own, from the least numbers to large ones.
#[test]
fn values_of_every_size() {
    let (keys, d) = (200, 64);
    for whole in whole_contexts() {
        for (small, large) in
            [(1.0, 1.0), (1e-6, 1e3), (0.0, 1.0), (0.0, 1e25), (1e-15, 1e-14), (1e28, 1e30), (0.0, 0.0)]
        {
            let (q, k) = (numbers(1, 20 * d), numbers(2, keys * d));
            let size = |i: usize| if (i / d).is_multiple_of(3) { large } else { small };
            let v: Vec<f32> = numbers(3, keys * d).iter().enumerate().map(|(i, v)| v * size(i)).collect();
            check_against_bound(&whole, 1, d, [&q, &k, &v], 0.125, Mask::None);
        }
    }
}

/// Equal scores, and values of ones and zeros: each output counts its keys, off by no more than the rounding of a weight. With 23 ones in 1500 keys, one too many would be twenty times as much.
#[test]
fn no_key_is_left_out_and_none_is_made_up() {
    let (queries, d) = (50, 64);
    for (ctx, steps) in whole_contexts() {
        for keys in [1, 31, 32, 33, 65, 127, 128, 129, 300, 1499, 1500, 1501] {
            let (q, k) = (vec![0.0; queries * d], numbers(2, keys * d));
            let v: Vec<f32> = (0..keys * d).map(|i| f32::from(u8::from(i % d == i / d % d))).collect();
            for mask in [Mask::None, Mask::Causal] {
                let mut got = vec![f32::NAN; queries * d];
                attention(&ctx, &q, &k, &v, 1, d, mask, 0.125, &mut got);
                let seen = |row: usize| match mask {
                    Mask::None => keys,
                    Mask::Causal => (keys + row + 1).saturating_sub(queries),
                };
                let count = |i: usize| (0..seen(i / d)).filter(|key| key % d == i % d).count() as f64;
                let want: Vec<f64> =
                    (0..queries * d).map(|i| count(i) / (seen(i / d) as f64).max(1.0)).collect();
                let what = format!("{ctx:?} {mask:?}, {keys} keys");
                check(&what, &got, &want, |i| (0.5 / steps.weight + steps.power) * want[i]);
            }
        }
    }
}

/// Each query is meant for one key: the key's bits, of which two differ in five places at least.
#[test]
fn every_key_is_found_with_its_own_value() {
    let d = 64;
    let code = |key: usize| (0..d).map(move |i| if i < 55 && key >> (i % 11) & 1 == 1 { 1.0 } else { -1.0 });
    for (ctx, steps) in whole_contexts() {
        for (keys, step) in [(31, 1), (33, 1), (257, 1), (1500, 29)] {
            let sought: Vec<usize> = (0..keys).rev().step_by(step).collect();
            let k: Vec<f32> = (0..keys).flat_map(code).collect();
            let v = numbers(3, keys * d);
            let q: Vec<f32> = sought.iter().flat_map(|&key| code(key).map(|bit| bit * 64.0)).collect();
            let want = reference::attention(&wide(&q), &wide(&k), &wide(&v), 1, d, |_| keys, 0.125);
            let mut got = vec![f32::NAN; q.len()];
            attention(&ctx, &q, &k, &v, 1, d, Mask::None, 0.125, &mut got);
            // The value's half step, of ∓1, and the weight's.
            let bound = 0.5 / steps.value + 0.5 / steps.weight + steps.power;
            check(&format!("{ctx:?}, {keys} keys"), &got, &want, |_| bound);
        }
    }
}

#[test]
fn what_is_no_number_gives_none() {
    let (queries, keys, d) = (14, 150, 64);
    for (ctx, _) in whole_contexts() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (q, k, v) = (numbers(1, queries * d), numbers(2, keys * d), numbers(3, keys * d));
            let outcome = |q: &[f32], k: &[f32], v: &[f32]| {
                let mut got = vec![0.0; queries * d];
                attention(&ctx, q, k, v, 1, d, Mask::None, 0.125, &mut got);
                got
            };
            let with = |x: &[f32], at: usize| {
                let mut x = x.to_vec();
                x[at] = bad;
                x
            };
            let got = outcome(&with(&q, 3 * d + 5), &k, &v);
            assert!(got.iter().enumerate().all(|(i, v)| v.is_nan() == (i / d == 3)), "{ctx:?} {bad}");
            // Every query sees every key.
            assert!(outcome(&q, &with(&k, 149 * d), &v).iter().all(|v| v.is_nan()), "{ctx:?} {bad}");
            assert!(outcome(&q, &k, &with(&v, 70 * d + 1)).iter().all(|v| v.is_nan()), "{ctx:?} {bad}");
        }
    }
}

/// Working memory is kept: what fills up the last tiles, panels and blocks once belonged to others.
#[test]
fn what_a_thread_did_before_changes_nothing() {
    let d = 64;
    for (ctx, _) in whole_contexts() {
        let run = |queries: usize, keys: usize, fill: Option<f32>| {
            let of = |seed, n| fill.map_or_else(|| numbers(seed, n * d), |fill| vec![fill; n * d]);
            let mut got = vec![0.0; queries * d];
            attention(&ctx, &of(1, queries), &of(2, keys), &of(3, keys), 1, d, Mask::None, 0.125, &mut got);
            got
        };
        let want = run(14, 45, None);
        run(100, 300, Some(f32::NAN));
        assert!(run(14, 45, None) == want, "{ctx:?}");
    }
}
