//! The CPU back-end behind candle tensors: packed weights, fused epilogues, attention without a [frames, frames] matrix.

use std::ops::Deref;

use candle_core::{CpuStorage, Device, Storage as CandleStorage, Tensor};
use cpu_backend::{Context, Linear, Mask, Storage};

use super::{Accelerator, Epilogue, LAYER_NORM_EPS, Prepared};
use crate::checkpoint::Weight;
use crate::config::HEAD_DIM;
use crate::{Error, Result};

/// Computes with `cpu-backend` at one level, in one thread pool, with weights kept in one storage.
pub struct CpuAccelerator {
    context: Context,
    storage: Storage,
}

impl CpuAccelerator {
    /// An accelerator that keeps weights as `storage`.
    #[must_use]
    pub fn new(context: Context, storage: Storage) -> Self {
        Self { context, storage }
    }

    /// Level and threads.
    pub(super) fn context(&self) -> &Context {
        &self.context
    }
}

impl Accelerator for CpuAccelerator {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn prepare(&self, weight: &Weight, bias: Option<&[f32]>) -> Result<Prepared> {
        let (outputs, inputs) = (weight.rows(), weight.cols());
        let linear = Linear::new(weight.as_cpu(), bias, outputs, inputs, self.storage);
        Ok(Prepared::new(outputs, inputs, linear.map_err(|error| Error::Shape(error.to_string()))?))
    }

    fn linear(&self, x: &Tensor, weight: &Prepared, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let layer: &Linear = weight.payload()?;
        let (frames, inputs) = x.dims2()?;
        if inputs != weight.inputs {
            return Err(Error::Shape(format!("a layer of {} inputs was given {inputs}", weight.inputs)));
        }
        let mut y = match epilogue {
            Epilogue::Residual(residual) if residual.dims() == [frames, weight.outputs] => {
                values(residual, |values| values.to_vec())?
            }
            Epilogue::Residual(residual) => {
                return Err(Error::Shape(format!("a residual of {:?} does not fit", residual.dims())));
            }
            _ => vec![0.0; frames * weight.outputs],
        };
        let fused = match epilogue {
            Epilogue::None => cpu_backend::Epilogue::None,
            Epilogue::Gelu => cpu_backend::Epilogue::Gelu,
            Epilogue::Residual(_) => cpu_backend::Epilogue::Residual,
        };
        values(x, |x| layer.forward(&self.context, x, frames, &mut y, fused))?;
        Ok(Tensor::from_vec(y, (frames, weight.outputs), &Device::Cpu)?)
    }

    fn attention(&self, q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
        let (frames, d_model) = q.dims2()?;
        if heads == 0 || d_model != heads * HEAD_DIM {
            return Err(Error::Shape(format!("{d_model} features do not make {heads} heads of {HEAD_DIM}")));
        }
        let head_dim = HEAD_DIM;
        #[allow(clippy::cast_precision_loss, reason = "head_dim is at most a few hundred")]
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut out = vec![0.0; frames * d_model];
        values(q, |q| {
            values(k, |k| {
                values(v, |v| {
                    let context = &self.context;
                    cpu_backend::attention(context, q, k, v, heads, head_dim, Mask::None, scale, &mut out);
                })
            })
        })???;
        Ok(Tensor::from_vec(out, (frames, d_model), &Device::Cpu)?)
    }

    fn layer_norm(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let mut y = vec![0.0; x.elem_count()];
        values(x, |x| {
            values(weight, |weight| {
                values(bias, |bias| {
                    cpu_backend::layer_norm(&self.context, x, weight, bias, LAYER_NORM_EPS, &mut y);
                })
            })
        })???;
        Ok(Tensor::from_vec(y, x.shape(), &Device::Cpu)?)
    }
}

/// Lends the values of a contiguous f32 tensor on the CPU.
fn values<T>(tensor: &Tensor, use_values: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    let (CandleStorage::Cpu(CpuStorage::F32(all)), Some((start, end))) =
        (storage.deref(), layout.contiguous_offsets())
    else {
        return Err(Error::Shape("the CPU accelerator takes contiguous f32 tensors on the CPU".into()));
    };
    Ok(use_values(&all[start..end]))
}
