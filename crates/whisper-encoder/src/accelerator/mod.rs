//! The seam where the encoder's arithmetic may go elsewhere: linear layers, attention, layer norm.
//!
//! Weights are prepared once (packed, converted, made resident) and come back as an opaque [`Prepared`].

mod candle;
mod cpu;
mod npu;

use std::any::Any;

use candle_core::Tensor;

pub use candle::CandleAccelerator;
pub use cpu::{CpuAccelerator, Keep};
pub use npu::{NpuAccelerator, NpuOptions, NpuPrecision, Receipt};
pub use npu_backend::{Counters, Modelled};

use crate::checkpoint::Weight;
use crate::{CancelToken, LogMel, Result};

/// A weight as one accelerator wants it; only the accelerator that made it can read it.
pub struct Prepared {
    /// Outputs.
    pub outputs: usize,
    /// Inputs.
    pub inputs: usize,
    payload: Box<dyn Any + Send + Sync>,
}

impl Prepared {
    /// Wraps an accelerator's own form of a weight `[outputs, inputs]`.
    pub fn new<T: Any + Send + Sync>(outputs: usize, inputs: usize, payload: T) -> Self {
        Self { outputs, inputs, payload: Box::new(payload) }
    }

    /// The accelerator's own form.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if another accelerator made it.
    pub fn payload<T: Any>(&self) -> Result<&T> {
        self.payload
            .downcast_ref()
            .ok_or_else(|| crate::Error::Shape("a weight was prepared by another accelerator".into()))
    }
}

/// What is fused after `x Wᵀ + b`.
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<'a> {
    /// Nothing.
    None,
    /// The erf GELU.
    Gelu,
    /// Adds this tensor `[frames, outputs]`.
    Residual(&'a Tensor),
}

/// The parts of one block, for an accelerator that runs blocks whole.
#[derive(Clone, Copy)]
pub struct BlockParts<'a> {
    /// Heads of the attention.
    pub heads: usize,
    /// γ and β before the attention.
    pub attn_ln: (&'a Tensor, &'a Tensor),
    /// Query, key, value.
    pub project: [&'a Prepared; 3],
    /// After the attention.
    pub out: &'a Prepared,
    /// γ and β before the perceptron.
    pub mlp_ln: (&'a Tensor, &'a Tensor),
    /// First layer of the perceptron, before GELU.
    pub fc1: &'a Prepared,
    /// Second layer.
    pub fc2: &'a Prepared,
}

/// The parts of a whole encoder, for an accelerator that runs it in one piece.
#[derive(Clone, Copy)]
pub struct EncoderParts<'a> {
    /// The two convolutions, over three neighbouring frames side by side; the second takes every other frame.
    pub convolutions: [&'a Prepared; 2],
    /// What is added after them, `[frames, d_model]`.
    pub positions: &'a Tensor,
    /// The residual blocks.
    pub blocks: &'a [BlockParts<'a>],
    /// γ and β of the norm at the end.
    pub last_norm: (&'a Tensor, &'a Tensor),
}

/// Where the encoder computes. All tensors are f32, contiguous, on candle's CPU device.
///
/// Any operation may answer [`Error::Distrusted`](crate::Error::Distrusted): the window is left at once and encoded again
/// from its beginning, one time. Who says so computes elsewhere from then on.
pub trait Accelerator: Send + Sync {
    /// Short name for receipts: `candle`, `cpu`, `npu`.
    fn name(&self) -> &'static str;

    /// Prepares a linear layer `[out, in]` with its bias `[out]`.
    ///
    /// # Errors
    /// If the bias does not fit, or the device has no room.
    fn prepare(&self, weight: &Weight, bias: Option<&[f32]>) -> Result<Prepared>;

    /// As [`Self::prepare`], for a convolution of the stem as a layer over rows of neighbouring frames.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    fn prepare_convolution(&self, weight: &Weight, bias: Option<&[f32]>) -> Result<Prepared> {
        self.prepare(weight, bias)
    }

    /// `x Wᵀ + b` and the epilogue: `[frames, in]` ▸ `[frames, out]`.
    ///
    /// # Errors
    /// If shapes do not fit, or the device fails and may not fall back.
    fn linear(&self, x: &Tensor, weight: &Prepared, epilogue: Epilogue<'_>) -> Result<Tensor>;

    /// Unmasked self-attention, softmax(q kᵀ / √head_dim) v: three `[frames, d_model]` ▸ `[frames, d_model]`.
    ///
    /// # Errors
    /// As [`Self::linear`].
    fn attention(&self, q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor>;

    /// The whole encoder in one piece: `[n_mels, frames]` ▸ `[frames / 2, d_model]`, shapes checked by the caller. `None` if
    /// the accelerator wants it in parts.
    ///
    /// # Errors
    /// As [`Self::linear`], and [`crate::Error::Cancelled`].
    fn encode(
        &self,
        _mel: &LogMel,
        _parts: &EncoderParts<'_>,
        _cancel: &CancelToken,
    ) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// GELU(conv2(GELU(conv1(mel)))) in one piece: `[frames, n_mels]` ▸ `[frames / 2, d_model]`. `None` if the
    /// accelerator wants it as single products.
    ///
    /// # Errors
    /// As [`Self::linear`].
    fn stem(&self, _mel: &Tensor, _conv1: &Prepared, _conv2: &Prepared) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Residual blocks in one piece, with few ways between host and device: `[frames, d_model]` ▸ the same. `None` if the
    /// accelerator wants them operation by operation. Stops between blocks once `cancel` is set.
    ///
    /// # Errors
    /// As [`Self::linear`], and [`crate::Error::Cancelled`].
    fn blocks(
        &self,
        _x: &Tensor,
        _blocks: &[BlockParts<'_>],
        _cancel: &CancelToken,
    ) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// A window has been encoded; `again` if an [`Error::Distrusted`](crate::Error::Distrusted) made it begin anew.
    fn window_done(&self, _again: bool) {}

    /// What ran where, if the accelerator keeps an account.
    fn receipt(&self) -> Option<Receipt> {
        None
    }

    /// Layer norm over the last dimension, ε = 1e-5, in f32: `[frames, d_model]` ▸ the same.
    ///
    /// # Errors
    /// As [`Self::linear`].
    fn layer_norm(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        // candle's fused layer norm takes the variance in one pass, which cancels where the mean is large.
        Ok(candle_nn::ops::layer_norm_slow(x, weight, bias, LAYER_NORM_EPS)?)
    }
}

/// ε of every layer norm in Whisper (torch's default).
pub const LAYER_NORM_EPS: f32 = 1e-5;
