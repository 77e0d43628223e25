//! Pre-norm residual block, `[frames, d_model]` ▸ the same:
//! x ← x + out(attention(q(h), k(h), v(h))) with h = attn_ln(x); x ← x + fc2(GELU(fc1(mlp_ln(x)))).

use candle_core::Tensor;

use super::linear::{Bias, Linear};
use super::norm::LayerNorm;
use crate::Result;
use crate::accelerator::{Accelerator, BlockParts, Epilogue};
use crate::checkpoint::Checkpoint;
use crate::probe::Probe;

/// One block of the encoder.
pub(crate) struct Block {
    index: usize,
    heads: usize,
    attn_ln: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    mlp_ln: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl Block {
    pub(crate) fn load(checkpoint: &Checkpoint, accelerator: &dyn Accelerator, index: usize) -> Result<Self> {
        let config = checkpoint.config();
        let (d, ffn) = (config.d_model, config.audio_ffn);
        let at = |part: &str| format!("encoder.layers.{index}.{part}");
        let linear = |part: &str, shape, bias| Linear::load(checkpoint, accelerator, &at(part), shape, bias);
        Ok(Self {
            index,
            heads: config.n_audio_head,
            attn_ln: LayerNorm::load(checkpoint, &at("self_attn_layer_norm"), d)?,
            query: linear("self_attn.q_proj", (d, d), Bias::Stored)?,
            key: linear("self_attn.k_proj", (d, d), Bias::Absent)?,
            value: linear("self_attn.v_proj", (d, d), Bias::Stored)?,
            out: linear("self_attn.out_proj", (d, d), Bias::Stored)?,
            mlp_ln: LayerNorm::load(checkpoint, &at("final_layer_norm"), d)?,
            fc1: linear("fc1", (ffn, d), Bias::Stored)?,
            fc2: linear("fc2", (d, ffn), Bias::Stored)?,
        })
    }

    pub(crate) fn forward(
        &self,
        accelerator: &dyn Accelerator,
        x: &Tensor,
        probe: &mut Probe<'_, '_>,
    ) -> Result<Tensor> {
        let name = |part: &'static str| move || format!("encoder.blocks.{}{part}", self.index);
        let h = self.attn_ln.forward(accelerator, x)?;
        probe.show(name(".attn_ln"), &h)?;
        let q = self.query.forward(accelerator, &h)?;
        probe.show(name(".attn.query"), &q)?;
        let k = self.key.forward(accelerator, &h)?;
        probe.show(name(".attn.key"), &k)?;
        let v = self.value.forward(accelerator, &h)?;
        probe.show(name(".attn.value"), &v)?;
        let mixed = accelerator.attention(&q, &k, &v, self.heads)?;
        let x = self.out.add_to(accelerator, &mixed, x, probe, name(".attn"))?;

        let h = self.mlp_ln.forward(accelerator, &x)?;
        probe.show(name(".mlp_ln"), &h)?;
        let hidden = accelerator.linear(&h, &self.fc1.0, Epilogue::Gelu)?;
        let x = self.fc2.add_to(accelerator, &hidden, &x, probe, name(".mlp"))?;
        probe.show(name(""), &x)?;
        Ok(x)
    }

    /// Its parts, for an accelerator that runs blocks whole.
    pub(crate) fn parts(&self) -> BlockParts<'_> {
        BlockParts {
            heads: self.heads,
            attn_ln: self.attn_ln.parts(),
            project: [&self.query.0, &self.key.0, &self.value.0],
            out: &self.out.0,
            mlp_ln: self.mlp_ln.parts(),
            fc1: &self.fc1.0,
            fc2: &self.fc2.0,
        }
    }
}
