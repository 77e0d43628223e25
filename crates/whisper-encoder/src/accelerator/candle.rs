//! The oracle: plain candle operations in f32, no packing, no fusion.

use candle_core::{D, Device, Tensor};

use super::{Accelerator, Epilogue, Prepared};
use crate::checkpoint::Weight;
use crate::{Error, Result};

/// Plain candle tensors; what every other accelerator is compared with.
#[derive(Clone, Copy, Debug, Default)]
pub struct CandleAccelerator;

struct Linear {
    /// `[in, out]`: transposed once.
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Accelerator for CandleAccelerator {
    fn name(&self) -> &'static str {
        "candle"
    }

    fn prepare(&self, weight: &Weight, bias: Option<&[f32]>) -> Result<Prepared> {
        let (outputs, inputs) = (weight.rows(), weight.cols());
        if bias.is_some_and(|bias| bias.len() != outputs) {
            return Err(Error::Shape(format!("the bias does not have {outputs} elements")));
        }
        let matrix = Tensor::from_vec(weight.to_f32(), (outputs, inputs), &Device::Cpu)?.t()?.contiguous()?;
        let bias = bias.map(|bias| Tensor::from_slice(bias, outputs, &Device::Cpu)).transpose()?;
        Ok(Prepared::new(outputs, inputs, Linear { weight: matrix, bias }))
    }

    fn linear(&self, x: &Tensor, weight: &Prepared, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let layer: &Linear = weight.payload()?;
        let mut y = x.matmul(&layer.weight)?;
        if let Some(bias) = &layer.bias {
            y = y.broadcast_add(bias)?;
        }
        Ok(match epilogue {
            Epilogue::None => y,
            Epilogue::Gelu => y.gelu_erf()?,
            Epilogue::Residual(residual) => (residual + y)?,
        })
    }

    fn attention(&self, q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
        let (frames, d_model) = q.dims2()?;
        let head_dim = d_model / heads;
        // [frames, d_model] ▸ [heads, frames, head_dim]
        let split = |x: &Tensor| x.reshape((frames, heads, head_dim))?.transpose(0, 1)?.contiguous();
        #[allow(clippy::cast_precision_loss, reason = "head_dim is at most a few hundred")]
        let scale = 1.0 / (head_dim as f64).sqrt();
        let scores = (split(q)?.matmul(&split(k)?.transpose(1, 2)?)? * scale)?;
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
        Ok(weights.matmul(&split(v)?)?.transpose(0, 1)?.reshape((frames, d_model))?)
    }
}
