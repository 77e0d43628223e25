//! Layer norm: y = (x − mean) / √(var + ε) · γ + β over the last dimension, in f32 whatever the precision.

use candle_core::{Device, Tensor};

use crate::Result;
use crate::accelerator::Accelerator;
use crate::checkpoint::Checkpoint;

/// γ and β, `[d_model]` each.
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    /// Reads `name.weight` and `name.bias`.
    pub(crate) fn load(checkpoint: &Checkpoint, name: &str, width: usize) -> Result<Self> {
        let read = |part: &str| -> Result<Tensor> {
            let values = checkpoint.vector(&format!("{name}.{part}"), width)?;
            Ok(Tensor::from_vec(values, width, &Device::Cpu)?)
        };
        Ok(Self { weight: read("weight")?, bias: read("bias")? })
    }

    pub(crate) fn forward(&self, accelerator: &dyn Accelerator, x: &Tensor) -> Result<Tensor> {
        accelerator.layer_norm(x, &self.weight, &self.bias)
    }

    /// γ and β.
    pub(crate) fn parts(&self) -> (&Tensor, &Tensor) {
        (&self.weight, &self.bias)
    }
}
