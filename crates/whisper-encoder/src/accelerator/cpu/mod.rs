//! The CPU back-end behind candle tensors: packed weights, fused epilogues, attention without a [frames, frames] matrix.

mod whole;

use std::ops::Deref;
use std::sync::Mutex;

use candle_core::{CpuStorage, Device, Storage as CandleStorage, Tensor};
use cpu_backend::{Context, Linear, Mask, Storage, Weights, Workspace};

use super::{Accelerator, EncoderParts, Epilogue, LAYER_NORM_EPS, Prepared};
use crate::checkpoint::Weight;
use crate::config::HEAD_DIM;
use crate::{CancelToken, Error, LogMel, Result};

/// How weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All in one storage.
    All(Storage),
    /// Whole numbers as whole numbers, everything else so.
    AsStored(Storage),
}

/// Computes with `cpu-backend` at one level, in one thread pool.
pub struct CpuAccelerator {
    context: Context,
    keep: Keep,
    /// Memory of windows that are done, for those to come.
    workspaces: Mutex<Vec<Workspace>>,
}

impl CpuAccelerator {
    /// An accelerator that keeps weights so.
    #[must_use]
    pub fn new(context: Context, keep: Keep) -> Self {
        Self { context, keep, workspaces: Mutex::default() }
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
        let storage = match (self.keep, weight.as_cpu()) {
            (Keep::All(storage), _) => storage,
            (Keep::AsStored(_), Weights::Int8 { .. }) => Storage::Int8,
            (Keep::AsStored(storage), _) => storage,
        };
        packed(weight, bias, storage)
    }

    /// Never in 8 bits: rows that overlap have no scale of their own, and the encoder would not run in one piece.
    fn prepare_convolution(&self, weight: &Weight, bias: Option<&[f32]>) -> Result<Prepared> {
        match self.keep {
            Keep::All(Storage::Int8) => packed(weight, bias, Storage::Bf16),
            _ => self.prepare(weight, bias),
        }
    }

    fn encode(&self, mel: &LogMel, parts: &EncoderParts<'_>, cancel: &CancelToken) -> Result<Option<Tensor>> {
        self.encode_whole(mel, parts, cancel)
    }

    fn linear(&self, x: &Tensor, weight: &Prepared, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let layer: &Linear = weight.payload()?;
        let (frames, inputs) = x.dims2()?;
        if inputs != weight.inputs {
            return Err(Error::Shape(format!("a layer of {} inputs was given {inputs}", weight.inputs)));
        }
        let mut y = match epilogue {
            Epilogue::Residual(residual) if residual.dims() == [frames, weight.outputs] => {
                lent(residual)?.to_vec()
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
        layer.forward(&self.context, &lent(x)?, frames, &mut y, fused);
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
        let (q, k, v) = (lent(q)?, lent(k)?, lent(v)?);
        let context = &self.context;
        cpu_backend::attention(context, &q, &k, &v, heads, head_dim, Mask::None, scale, &mut out);
        Ok(Tensor::from_vec(out, (frames, d_model), &Device::Cpu)?)
    }

    fn layer_norm(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let mut y = vec![0.0; x.elem_count()];
        let (values, weight, bias) = (lent(x)?, lent(weight)?, lent(bias)?);
        cpu_backend::layer_norm(&self.context, &values, &weight, &bias, LAYER_NORM_EPS, &mut y);
        Ok(Tensor::from_vec(y, x.shape(), &Device::Cpu)?)
    }
}

fn packed(weight: &Weight, bias: Option<&[f32]>, storage: Storage) -> Result<Prepared> {
    let (outputs, inputs) = (weight.rows(), weight.cols());
    let fits = bias.is_none_or(|bias| bias.len() == outputs);
    let linear = Linear::new(weight.as_cpu(), bias, outputs, inputs, storage).map_err(|error| {
        if fits {
            Error::Weights(format!("{}: {}", error.what, error.why))
        } else {
            Error::Shape(error.to_string())
        }
    })?;
    Ok(Prepared::new(outputs, inputs, linear))
}

/// The values of a contiguous f32 tensor on the CPU.
fn lent(tensor: &Tensor) -> Result<impl Deref<Target = [f32]> + '_> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (CandleStorage::Cpu(CpuStorage::F32(_)), Some(range)) => Ok(Lent { storage, range }),
        _ => Err(Error::Shape("the CPU accelerator takes contiguous f32 tensors on the CPU".into())),
    }
}

/// A part of f32 storage on the CPU, and the lock that it is read under.
struct Lent<G> {
    storage: G,
    range: (usize, usize),
}

impl<G: Deref<Target = CandleStorage>> Deref for Lent<G> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            CandleStorage::Cpu(CpuStorage::F32(all)) => &all[self.range.0..self.range.1],
            // `lent` makes it of no other.
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::checkpoint::Values;

    #[test]
    fn convolutions_are_never_in_8_bits() {
        let weight = Weight::new(2, 12, Values::F32(vec![0.5; 24])).unwrap();
        let context = Context::single(cpu_backend::Level::detect()).with_int8_activations();
        for (keep, want) in [
            (Keep::All(Storage::F32), Storage::F32),
            (Keep::All(Storage::Bf16), Storage::Bf16),
            (Keep::All(Storage::Int8), Storage::Bf16),
        ] {
            let accelerator = CpuAccelerator::new(context.clone(), keep);
            let prepared = accelerator.prepare_convolution(&weight, None).unwrap();
            let layer: &Linear = prepared.payload().unwrap();
            assert_eq!(layer.storage(), want, "{keep:?}");
        }
    }
}
