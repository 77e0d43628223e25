//! Checkpoint tensors as the CPU backend wants them.

use cpu_backend::{Context, Linear, Storage, Weights};
use whisper_encoder::accelerator::LAYER_NORM_EPS;
use whisper_encoder::checkpoint::{Checkpoint, Values, Weight};
use whisper_encoder::{Error, Precision, Result};

/// How to keep `weight`: int8 weights stay int8 at every precision, since their products with f32 are exact.
pub(super) fn storage(weight: &Weight, precision: Precision) -> Storage {
    match (weight.values(), precision) {
        (Values::Int8 { .. }, _) | (_, Precision::Int8) => Storage::Int8,
        (_, Precision::Bf16) => Storage::Bf16,
        _ => Storage::F32,
    }
}

/// Prepares a linear layer.
pub(super) fn prepare(weight: &Weight, bias: Option<&[f32]>, precision: Precision) -> Result<Linear> {
    let source = match weight.values() {
        Values::F32(values) => Weights::F32(values),
        Values::F16(values) => Weights::F16(values),
        Values::Bf16(values) => Weights::Bf16(values),
        Values::Int8 { data, scale } => Weights::Int8 { data, scale },
    };
    Linear::new(source, bias, weight.rows(), weight.cols(), storage(weight, precision))
        .map_err(|error| Error::Shape(error.to_string()))
}

/// Rows of several matrices of one width and number type, one under the other.
pub(super) fn stack(parts: Vec<Weight>) -> Result<Weight> {
    let cols = parts.first().map_or(0, Weight::cols);
    let rows = parts.iter().map(Weight::rows).sum();
    let mut parts = parts.into_iter();
    let first = parts.next().map_or(Values::F32(Vec::new()), Weight::into_values);
    let stacked = parts.try_fold(first, |mut stacked, part| {
        match (&mut stacked, part.into_values()) {
            (Values::F32(all), Values::F32(more)) => all.extend(more),
            (Values::F16(all), Values::F16(more)) => all.extend(more),
            (Values::Bf16(all), Values::Bf16(more)) => all.extend(more),
            (Values::Int8 { data, scale }, Values::Int8 { data: more, scale: scales }) => {
                data.extend(more);
                scale.extend(scales);
            }
            _ => return Err(Error::Shape("q, k and v of one layer have different number types".into())),
        }
        Ok(stacked)
    })?;
    Weight::new(rows, cols, stacked)
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

    /// Norms rows of `x`, `[entries, d_model]`, into `y`.
    pub(super) fn apply(&self, context: &Context, x: &[f32], y: &mut [f32]) {
        cpu_backend::layer_norm(context, x, &self.weight, &self.bias, LAYER_NORM_EPS, y);
    }
}
