//! The stem: x = GELU(conv1(mel)), x = GELU(conv2(x)) + positions; `[n_mels, 3000]` ▸ `[1500, d_model]`.
//!
//! Both convolutions have kernel 3 and padding 1, strides 1 and 2. They run as linear layers over rows of three
//! neighbouring frames (im2col), so that they offload like every other matrix product.

use candle_core::{Device, Tensor};

use crate::accelerator::{Accelerator, Epilogue, Prepared};
use crate::checkpoint::{Checkpoint, Values, Weight};
use crate::probe::Probe;
use crate::{Error, LogMel, Result};

const KERNEL: usize = 3;

/// Convolutions and positions.
pub(crate) struct Stem {
    conv1: Prepared,
    conv2: Prepared,
    /// `[n_audio_ctx, d_model]`, as stored: not regenerated.
    positions: Tensor,
}

impl Stem {
    pub(crate) fn load(checkpoint: &Checkpoint, accelerator: &dyn Accelerator) -> Result<Self> {
        let config = checkpoint.config();
        let conv = |name: &str, inputs: usize| -> Result<Prepared> {
            let stored =
                checkpoint.tensor(&format!("encoder.{name}.weight"), &[config.d_model, inputs, KERNEL])?;
            let weight =
                Weight::new(config.d_model, KERNEL * inputs, Values::F32(kernel_major(&stored, inputs)))?;
            let bias = checkpoint.vector(&format!("encoder.{name}.bias"), config.d_model)?;
            accelerator
                .prepare_convolution(&weight, Some(&bias))
                .map_err(|error| checkpoint.unfit(name, &error.to_string()))
        };
        let positions =
            checkpoint.tensor("encoder.embed_positions.weight", &[config.n_audio_ctx, config.d_model])?;
        Ok(Self {
            conv1: conv("conv1", config.n_mels)?,
            conv2: conv("conv2", config.d_model)?,
            positions: Tensor::from_vec(positions, (config.n_audio_ctx, config.d_model), &Device::Cpu)?,
        })
    }

    /// Fails unless `mel` is `[n_mels, 2 × n_audio_ctx]`.
    pub(crate) fn check(&self, mel: &LogMel) -> Result<()> {
        let n_mels = self.conv1.inputs / KERNEL;
        let positions = self.positions.dim(0)?;
        if mel.n_mels() != n_mels || mel.frames() != 2 * positions {
            return Err(Error::Shape(format!(
                "the encoder takes a mel of [{n_mels}, {}], not [{}, {}]",
                2 * positions,
                mel.n_mels(),
                mel.frames()
            )));
        }
        Ok(())
    }

    /// Its parts, for an accelerator that runs the encoder whole.
    pub(crate) fn parts(&self) -> ([&Prepared; 2], &Tensor) {
        ([&self.conv1, &self.conv2], &self.positions)
    }

    /// Of a mel that was [checked](Self::check).
    pub(crate) fn forward(
        &self,
        accelerator: &dyn Accelerator,
        mel: &LogMel,
        probe: &mut Probe<'_, '_>,
    ) -> Result<Tensor> {
        let mel =
            Tensor::from_slice(mel.data(), (mel.n_mels(), mel.frames()), &Device::Cpu)?.t()?.contiguous()?;
        if !probe.is_watched()
            && let Some(x) = accelerator.stem(&mel, &self.conv1, &self.conv2)?
        {
            return Ok((x + &self.positions)?);
        }
        let x = convolve(accelerator, &neighbours(&mel, 1)?, &self.conv1, probe, "encoder.conv1")?;
        let x = convolve(accelerator, &neighbours(&x, 2)?, &self.conv2, probe, "encoder.conv2")?;
        Ok((x + &self.positions)?)
    }
}

fn convolve(
    accelerator: &dyn Accelerator,
    rows: &Tensor,
    conv: &Prepared,
    probe: &mut Probe<'_, '_>,
    name: &str,
) -> Result<Tensor> {
    if !probe.is_watched() {
        return accelerator.linear(rows, conv, Epilogue::Gelu);
    }
    let y = accelerator.linear(rows, conv, Epilogue::None)?;
    probe.show(|| name.to_owned(), &y)?;
    Ok(y.gelu_erf()?)
}

/// `[frames, channels]` ▸ `[frames / stride, 3 × channels]`: frames t − 1, t, t + 1 side by side, zeros outside.
fn neighbours(x: &Tensor, stride: usize) -> Result<Tensor> {
    let (frames, channels) = x.dims2()?;
    let padded = x.pad_with_zeros(0, 1, 1)?;
    let taps = (0..KERNEL).map(|tap| {
        let rows = padded.narrow(0, tap, frames)?;
        match stride {
            1 => Ok(rows),
            _ => rows.reshape((frames / stride, stride, channels))?.narrow(1, 0, 1)?.squeeze(1),
        }
    });
    let taps = taps.collect::<candle_core::Result<Vec<_>>>()?;
    Ok(Tensor::cat(&taps, 1)?)
}

/// `[out, in, 3]` as stored ▸ `[out, 3 × in]`, tap by tap, to match [`neighbours`].
fn kernel_major(stored: &[f32], inputs: usize) -> Vec<f32> {
    let rows = stored.chunks_exact(inputs * KERNEL);
    rows.flat_map(|row| (0..KERNEL).flat_map(move |tap| (0..inputs).map(move |i| row[i * KERNEL + tap])))
        .collect()
}
