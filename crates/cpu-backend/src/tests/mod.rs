//! Every level this machine has, on every edge shape, against the f64 oracle with derived bounds.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests; levels that are not there are named")]

mod activations;
mod agreement;
#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod attention_whole;
mod embedding;
mod encoder;
mod linear;
mod quantised;
mod rows;
mod vocabulary;

use crate::{Context, Level, LevelKind};

/// Half the distance between neighbouring f32 numbers around 1.
pub(crate) const U: f64 = 1.0 / (1 << 24) as f64;

/// The same of bf16, whose significands have 8 bits: 2⁻⁷ apart around 1.
pub(crate) const U_BF16: f64 = 1.0 / (1 << 8) as f64;

/// What n roundings amount to (Higham's γₙ).
pub(crate) fn gamma(n: usize) -> f64 {
    let nu = n as f64 * U;
    nu / (1.0 - nu)
}

/// Every level of this machine, and AMX with a model in place of its tile unit.
pub(crate) fn levels() -> Vec<Level> {
    let levels = Level::available().into_iter();
    #[cfg(target_arch = "x86_64")]
    let levels = levels.chain(Level::modelled_amx());
    levels.collect()
}

/// One and two threads at every level, with and without bf16 activations; says what this machine cannot test.
pub(crate) fn contexts() -> Vec<Context> {
    for kind in LevelKind::ALL {
        if Level::new(kind).is_none() {
            eprintln!("skipped: this machine has no {kind}");
        }
    }
    let pools = |level| {
        [
            Context::single(level).with_f32_activations(),
            Context::single(level),
            Context::new(level, 2).unwrap(),
        ]
    };
    levels().into_iter().flat_map(pools).collect()
}

/// Reproducible numbers in −1…1 (xorshift64*).
pub(crate) fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}

/// Fails with the worst element (relative to its bound) when any is over its bound or not a number.
#[track_caller]
pub(crate) fn check(what: &str, got: &[f32], want: &[f64], bound: impl Fn(usize) -> f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let mut worst = (0.0, 0);
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(g) - w).abs();
        let over = if error.is_nan() { f64::INFINITY } else { error / bound(i) };
        if over > worst.0 {
            worst = (over, i);
        }
    }
    let (over, i) = worst;
    assert!(over <= 1.0, "{what}: at {i} got {} want {} bound {}", got[i], want[i], bound(i));
}
