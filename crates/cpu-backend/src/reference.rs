//! The same arithmetic in f64, as plainly as it can be written: the oracle of the tests. Slow on purpose.

/// `x·Wᵀ + b` for `x` `[rows, in]`, `w` `[out, in]`, `b` `[out]` or empty; `[rows, out]`.
#[must_use]
pub fn linear(x: &[f64], w: &[f64], b: &[f64], outputs: usize, inputs: usize) -> Vec<f64> {
    let rows = x.len().checked_div(inputs).unwrap_or(0);
    let mut y = Vec::with_capacity(rows * outputs);
    for r in 0..rows {
        for o in 0..outputs {
            let products = (0..inputs).map(|i| x[r * inputs + i] * w[o * inputs + i]);
            y.push(products.sum::<f64>() + b.get(o).copied().unwrap_or(0.0));
        }
    }
    y
}

/// The error function, to about 1e-13: its Taylor series below 3, the continued fraction of erfc above.
#[must_use]
pub fn erf(x: f64) -> f64 {
    let z = x.abs();
    let value = if z < 3.0 {
        // erf z = 2/√π · Σ (−1)^n z^(2n+1) / (n! (2n+1))
        let (mut term, mut sum) = (z, z);
        for n in 1..200 {
            let n = f64::from(n);
            term *= -z * z / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        // erfc z = e^(−z²)/√π / (z + (1/2)/(z + 1/(z + (3/2)/(z + …))))
        let mut tail = z;
        for n in (1..200).rev() {
            tail = z + f64::from(n) / 2.0 / tail;
        }
        1.0 - (-z * z).exp() / tail * std::f64::consts::FRAC_2_SQRT_PI / 2.0
    };
    value.copysign(x)
}

/// x·Φ(x).
#[must_use]
pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// Layer norm of one row.
#[must_use]
pub fn layer_norm(x: &[f64], gamma: &[f64], beta: &[f64], eps: f64) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let inverse = 1.0 / (variance + eps).sqrt();
    x.iter().zip(gamma).zip(beta).map(|((v, g), b)| (v - mean) * inverse * g + b).collect()
}

/// Softmax of one row.
#[must_use]
pub fn softmax(x: &[f64]) -> Vec<f64> {
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = x.iter().map(|v| (v - most).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|v| v / sum).collect()
}

/// Attention of `q` `[queries, heads · head_dim]` over `k` and `v` `[keys, heads · head_dim]`; query `row` sees the
/// first `visible(row)` keys. A query that sees none gives zeros.
#[must_use]
pub fn attention(
    q: &[f64],
    k: &[f64],
    v: &[f64],
    heads: usize,
    head_dim: usize,
    visible: impl Fn(usize) -> usize,
    scale: f64,
) -> Vec<f64> {
    let width = heads * head_dim;
    let mut out = vec![0.0; q.len()];
    for (row, (q, out)) in q.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
        for head in 0..heads {
            let part = head * head_dim..(head + 1) * head_dim;
            let keys = k.chunks_exact(width).take(visible(row));
            let scores: Vec<f64> = keys
                .map(|k| {
                    q[part.clone()].iter().zip(&k[part.clone()]).map(|(a, b)| a * b).sum::<f64>() * scale
                })
                .collect();
            for (p, v) in softmax(&scores).iter().zip(v.chunks_exact(width)) {
                out[part.clone()].iter_mut().zip(&v[part.clone()]).for_each(|(o, v)| *o += p * v);
            }
        }
    }
    out
}
