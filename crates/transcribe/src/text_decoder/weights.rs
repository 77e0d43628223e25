//! Checkpoint tensors as the CPU backend wants them.

use cpu_backend::{Context, KvStorage, Linear, Storage, Weights};
use whisper_encoder::accelerator::LAYER_NORM_EPS;
use whisper_encoder::checkpoint::{Checkpoint, Values, Weight};
use whisper_encoder::{Precision, Result};

/// How to keep `weights`: whole numbers stay so at every precision, since their products with f32 are exact. A decoding step
/// reads them all, so that floats take half the time in bf16.
fn storage(weights: &Weights, precision: Precision) -> Storage {
    match (weights, precision) {
        (Weights::Int8 { .. }, _) | (_, Precision::Int8) => Storage::Int8,
        (_, Precision::F32) => Storage::F32,
        _ => Storage::Bf16,
    }
}

/// How keys and values are kept, of the audio and of the tokens: a decoding step reads them all. Those of the audio come
/// all at once, so that they can share their scales.
pub(super) fn kv_storage(precision: Precision) -> (KvStorage, KvStorage) {
    match precision {
        Precision::F32 => (KvStorage::F32, KvStorage::F32),
        Precision::Bf16 => (KvStorage::Bf16, KvStorage::Bf16),
        _ => (KvStorage::Int8, KvStorage::Bf16),
    }
}

/// Prepares a linear layer `[outputs, inputs]`; `name` is its tensor, for errors.
pub(super) fn prepare(
    checkpoint: &Checkpoint,
    name: &str,
    weights: Weights,
    (outputs, inputs): (usize, usize),
    bias: Option<&[f32]>,
    precision: Precision,
) -> Result<Linear> {
    Linear::new(weights, bias, outputs, inputs, storage(&weights, precision))
        .map_err(|error| checkpoint.unfit(name, &error.to_string()))
}

/// As [`prepare`], straight from the tensor `name` `[outputs, inputs]`.
pub(super) fn prepare_stored(
    checkpoint: &Checkpoint,
    name: &str,
    shape: (usize, usize),
    bias: Option<&[f32]>,
    precision: Precision,
) -> Result<Linear> {
    checkpoint
        .lend(name, shape.0, shape.1, |weights| prepare(checkpoint, name, weights, shape, bias, precision))?
}

/// Rows of several matrices of one width, one under the other; of mixed number types as f32.
pub(super) fn stack(parts: Vec<Weight>) -> Result<Weight> {
    let cols = parts.first().map_or(0, Weight::cols);
    let rows = parts.iter().map(Weight::rows).sum();
    let kind = |weight: &Weight| std::mem::discriminant(weight.values());
    if parts.windows(2).any(|pair| kind(&pair[0]) != kind(&pair[1])) {
        return Weight::new(rows, cols, Values::F32(parts.iter().flat_map(Weight::to_f32).collect()));
    }
    let mut values = parts.into_iter().map(Weight::into_values);
    let first = values.next().unwrap_or(Values::F32(Vec::new()));
    Weight::new(rows, cols, values.fold(first, append))
}

/// `more` after `all`, both of one number type.
fn append(all: Values, more: Values) -> Values {
    match (all, more) {
        (Values::F32(all), Values::F32(more)) => Values::F32([all, more].concat()),
        (Values::F16(all), Values::F16(more)) => Values::F16([all, more].concat()),
        (Values::Bf16(all), Values::Bf16(more)) => Values::Bf16([all, more].concat()),
        (Values::Int8 { data, scale }, Values::Int8 { data: more, scale: scales }) => {
            Values::Int8 { data: [data, more].concat(), scale: [scale, scales].concat() }
        }
        (all, _) => all,
    }
}

/// γ and β of a layer norm, `[d_model]` each.
pub(super) struct LayerNorm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl LayerNorm {
    pub(super) fn load(checkpoint: &Checkpoint, name: &str) -> Result<Self> {
        let width = checkpoint.config().d_model;
        Ok(Self {
            weight: checkpoint.vector(&format!("{name}.weight"), width)?,
            bias: checkpoint.vector(&format!("{name}.bias"), width)?,
        })
    }

    /// The mean squares of what it gives, `[d_model]`: normed numbers have a mean of 0 and a mean square of 1.
    pub(super) fn mean_squares(&self) -> Vec<f32> {
        self.weight.iter().zip(&self.bias).map(|(weight, bias)| weight * weight + bias * bias).collect()
    }

    /// Norms rows of `x`, `[entries, d_model]`, into `y`.
    pub(super) fn apply(&self, context: &Context, x: &[f32], y: &mut [f32]) {
        cpu_backend::layer_norm(context, x, &self.weight, &self.bias, LAYER_NORM_EPS, y);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn stacked_rows_keep_their_type_unless_mixed() {
        let int8 =
            |q: i8, scale| Weight::new(1, 2, Values::Int8 { data: vec![q, -q], scale: vec![scale] }).unwrap();
        let floats = Weight::new(1, 2, Values::F32(vec![0.5, 7.0])).unwrap();
        let same = stack(vec![int8(3, 0.5), int8(4, 0.25)]).unwrap();
        assert!(matches!(same.values(), Values::Int8 { .. }));
        assert_eq!(same.to_f32(), [1.5, -1.5, 1.0, -1.0]);
        let mixed = stack(vec![int8(3, 0.5), floats, int8(4, 0.25)]).unwrap();
        assert_eq!(mixed.to_f32(), [1.5, -1.5, 0.5, 7.0, 1.0, -1.0]);
        assert_eq!((mixed.rows(), mixed.cols()), (3, 2));
    }
}
