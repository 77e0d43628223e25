//! Levels give the same up to rounding; counts of threads, and pools, the same to the last bit.

use super::{check, contexts, gamma, levels, numbers, wide};
use crate::{
    Context, Epilogue, Keys, KvCache, KvStorage, Level, Linear, Mask, Storage, Weights, attend, attention,
    gelu, layer_norm,
};
use std::sync::Arc;

/// A small transformer block and a decoding step after it: every operation, on shapes with edges.
fn everything(ctx: &Context) -> Vec<f32> {
    let (rows, heads, d) = (113, 3, 64);
    let width = heads * d;
    let x = numbers(1, rows * width);
    let mut normal = vec![0.0; x.len()];
    layer_norm(ctx, &x, &numbers(2, width), &numbers(3, width), 1e-5, &mut normal);
    let mut all = Vec::new();
    for storage in [Storage::F32, Storage::Bf16, Storage::Int8] {
        let w: Vec<f32> = numbers(4, width * width).iter().map(|w| w / 8.0).collect();
        let layer = Linear::new(Weights::F32(&w), Some(&numbers(5, width)), width, width, storage).unwrap();
        let mut q = x.clone();
        layer.forward(ctx, &normal, rows, &mut q, Epilogue::Gelu);
        let mut mixed = vec![0.0; q.len()];
        attention(ctx, &q, &normal, &x, heads, d, Mask::Causal, 0.125, &mut mixed);
        layer.forward(ctx, &mixed, rows, &mut q, Epilogue::Residual);
        let mut cache = KvCache::new(heads, d, rows, KvStorage::F32);
        cache.extend(&normal, &x).unwrap();
        let mut step = vec![0.0; 2 * width];
        attend(ctx, &q[..2 * width], Keys::Shared(&cache), Mask::None, 0.125, None, &mut step);
        let mut last = vec![0.0; 2 * width];
        layer.forward(ctx, &step, 2, &mut last, Epilogue::None);
        gelu(ctx, &mut last);
        all.extend(q);
        all.extend(last);
    }
    all
}

#[test]
fn threads_and_pools_change_nothing() {
    for level in levels() {
        let want = everything(&Context::single(level));
        let rayon = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
        let own = [2, 3, 5].map(|threads| Context::new(level, threads).unwrap());
        for ctx in own.into_iter().chain([Context::with_pool(level, rayon)]) {
            assert!(everything(&ctx) == want, "{ctx:?} differs from one thread");
        }
    }
}

/// Errors pass through three products of 192 terms and two softmaxes; values are up to about ten in size, and the
/// worst factor a sum of |w| brings is 192 / 16. That leaves the levels this far apart, if nothing but rounding
/// differs.
#[test]
fn levels_agree() {
    let exact = everything(&Context::single(Level::available()[0]));
    let bound = gamma(3 * 192) * 12.0 * 10.0;
    assert!(bound < 5e-3);
    for ctx in contexts() {
        let got = everything(&ctx.clone().with_f32_activations());
        check(&format!("{ctx:?} and portable"), &got, &wide(&exact), |_| bound);
    }
}
