//! Linear layer: y = x Wᵀ + b, `[frames, in]` ▸ `[frames, out]`, through the accelerator.

use candle_core::Tensor;

use crate::Result;
use crate::accelerator::{Accelerator, Epilogue, Prepared};
use crate::checkpoint::Checkpoint;
use crate::probe::Probe;

/// Whether a checkpoint stores a bias: all linears of Whisper have one but the keys'.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bias {
    Stored,
    Absent,
}

/// A prepared linear layer.
pub(crate) struct Linear(pub(crate) Prepared);

impl Linear {
    /// Reads `name.weight` `[outputs, inputs]` (and `name.bias`).
    pub(crate) fn load(
        checkpoint: &Checkpoint,
        accelerator: &dyn Accelerator,
        name: &str,
        (outputs, inputs): (usize, usize),
        bias: Bias,
    ) -> Result<Self> {
        let full_name = format!("{name}.weight");
        let weight = checkpoint.matrix(&full_name, outputs, inputs)?;
        let bias = match bias {
            Bias::Stored => Some(checkpoint.vector(&format!("{name}.bias"), outputs)?),
            Bias::Absent => None,
        };
        let prepared = accelerator.prepare(&weight, bias.as_deref());
        Ok(Self(prepared.map_err(|error| checkpoint.unfit(&full_name, &error.to_string()))?))
    }

    pub(crate) fn forward(&self, accelerator: &dyn Accelerator, x: &Tensor) -> Result<Tensor> {
        accelerator.linear(x, &self.0, Epilogue::None)
    }

    /// `residual + x Wᵀ + b`; shows the sum's second half under `name` if someone watches.
    pub(crate) fn add_to(
        &self,
        accelerator: &dyn Accelerator,
        x: &Tensor,
        residual: &Tensor,
        probe: &mut Probe<'_, '_>,
        name: impl FnOnce() -> String,
    ) -> Result<Tensor> {
        if !probe.is_watched() {
            return accelerator.linear(x, &self.0, Epilogue::Residual(residual));
        }
        let y = self.forward(accelerator, x)?;
        probe.show(name, &y)?;
        Ok((residual + y)?)
    }
}
