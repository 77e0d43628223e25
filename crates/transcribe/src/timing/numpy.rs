//! Sums, rounding and median in the order in which numpy computes them, so that the last digit agrees.

/// `np.round(x, 2)`, which is also what Python's `round` does to a numpy float: not correctly rounded, but scaled.
pub(super) fn round2(x: f64) -> f64 {
    (x * 100.0).round_ties_even() / 100.0
}

/// `np.mean` of up to 128 values; 0 for none of them (numpy: not a number, with a warning).
#[allow(clippy::cast_precision_loss)]
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { sum(values) / values.len() as f64 }
}

/// `np.add.reduce`: from eight values on in eight lanes, above 128 by halves.
fn sum(values: &[f64]) -> f64 {
    if values.len() < 8 {
        return values.iter().sum();
    }
    if values.len() > 128 {
        let half = values.len() / 2;
        let (left, right) = values.split_at(half - half % 8);
        return sum(left) + sum(right);
    }
    let (eights, rest) = values.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (i, eight) in eights.iter().enumerate() {
        for (lane, value) in lanes.iter_mut().zip(eight) {
            *lane = if i == 0 { *value } else { *lane + value };
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
}

/// `np.median`; 0 for no values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (middle.checked_sub(1).and_then(|i| values.get(i)), values.get(middle)) {
        (Some(low), Some(high)) if values.len().is_multiple_of(2) => mean(&[*low, *high]),
        (_, Some(high)) => *high,
        _ => 0.0,
    }
}
