//! The encoder in one piece on the CPU, on memory that is kept from window to window.

use std::ops::Deref;
use std::sync::PoisonError;

use candle_core::{Device, Tensor};
use cpu_backend::{Block, Convolution, Norm, Workspace, encode_blocks, encode_stem, layer_norm};

use super::{CpuAccelerator, lent};
use crate::accelerator::{BlockParts, EncoderParts, LAYER_NORM_EPS};
use crate::{CancelToken, LogMel, Result};

/// Frames from one output of the second convolution to the next.
const STRIDE: usize = 2;

impl CpuAccelerator {
    /// Stem, blocks and norm; `None` if the shapes want to go operation by operation.
    pub(super) fn encode_whole(
        &self,
        mel: &LogMel,
        parts: &EncoderParts<'_>,
        cancel: &CancelToken,
    ) -> Result<Option<Tensor>> {
        // What a thread left half done here is only memory.
        let workspaces = || self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = workspaces().pop().unwrap_or_default();
        let features = self.encode_in(&mut workspace, mel, parts, cancel);
        workspaces().push(workspace);
        features
    }

    fn encode_in(
        &self,
        workspace: &mut Workspace,
        mel: &LogMel,
        parts: &EncoderParts<'_>,
        cancel: &CancelToken,
    ) -> Result<Option<Tensor>> {
        let (rows, d_model) = parts.positions.dims2()?;
        let lent_norms = parts.blocks.iter().map(norms).collect::<Result<Vec<_>>>()?;
        let blocks = parts.blocks.iter().zip(&lent_norms).map(block).collect::<Result<Vec<_>>>()?;
        let [conv1, conv2] = parts.convolutions;
        let convolutions = [
            Convolution { layer: conv1.payload()?, stride: 1 },
            Convolution { layer: conv2.payload()?, stride: STRIDE },
        ];
        let positions = lent(parts.positions)?;
        let context = &self.context;
        let mut x = vec![0.0; rows * d_model];
        if !blocks.iter().all(|block| block.fits(d_model))
            || !encode_stem(context, convolutions, mel.data(), &positions, &mut x, workspace)
        {
            return Ok(None);
        }
        if !encode_blocks(context, &blocks, d_model, &mut x, workspace, || !cancel.is_cancelled()) {
            cancel.check()?;
        }
        let last = pair(parts.last_norm)?;
        let mut y = vec![0.0; x.len()];
        layer_norm(context, &x, &last[0], &last[1], LAYER_NORM_EPS, &mut y);
        Ok(Some(Tensor::from_vec(y, (rows, d_model), &Device::Cpu)?))
    }
}

/// γ and β of a block's two norms.
struct Norms<L> {
    attention: [L; 2],
    mlp: [L; 2],
}

fn norms<'a>(parts: &BlockParts<'a>) -> Result<Norms<impl Deref<Target = [f32]> + use<'a>>> {
    Ok(Norms { attention: pair(parts.attn_ln)?, mlp: pair(parts.mlp_ln)? })
}

fn pair<'a>((gamma, beta): (&'a Tensor, &'a Tensor)) -> Result<[impl Deref<Target = [f32]> + use<'a>; 2]> {
    Ok([lent(gamma)?, lent(beta)?])
}

fn block<'a, L: Deref<Target = [f32]>>((parts, norms): (&BlockParts<'a>, &'a Norms<L>)) -> Result<Block<'a>> {
    let norm = |[gamma, beta]: &'a [L; 2]| Norm { gamma, beta };
    let [query, key, value] = parts.project;
    Ok(Block {
        heads: parts.heads,
        attention_norm: norm(&norms.attention),
        query: query.payload()?,
        key: key.payload()?,
        value: value.payload()?,
        out: parts.out.payload()?,
        mlp_norm: norm(&norms.mlp),
        fc1: parts.fc1.payload()?,
        fc2: parts.fc2.payload()?,
    })
}
