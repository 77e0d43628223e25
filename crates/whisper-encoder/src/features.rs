//! The encoder's output.

use crate::{Error, Result};

/// Audio features, row-major `[frames, d_model]`; one frame is 20 ms.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFeatures {
    frames: usize,
    d_model: usize,
    data: Vec<f32>,
}

impl AudioFeatures {
    /// Takes `data` as `[data.len() / d_model, d_model]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `d_model` is 0 or does not divide the length.
    pub fn new(d_model: usize, data: Vec<f32>) -> Result<Self> {
        if d_model == 0 || !data.len().is_multiple_of(d_model) {
            return Err(Error::Shape(format!(
                "{} values do not make rows of {d_model} features",
                data.len()
            )));
        }
        Ok(Self { frames: data.len() / d_model, d_model, data })
    }

    /// Frames of 20 ms.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Width of a frame.
    #[must_use]
    pub fn d_model(&self) -> usize {
        self.d_model
    }

    /// All values, `[frames, d_model]`.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// As a candle tensor `[frames, d_model]`, f32 on the CPU.
    ///
    /// # Errors
    /// candle's, if it cannot allocate.
    pub fn to_tensor(&self) -> Result<candle_core::Tensor> {
        Ok(candle_core::Tensor::from_slice(
            &self.data,
            (self.frames, self.d_model),
            &candle_core::Device::Cpu,
        )?)
    }
}
