//! One block of the decoder, `[rows × n, d_model]` ▸ the same, pre-norm with three residuals:
//! causal self-attention over the cache, cross-attention over the audio, MLP with GELU.

use cpu_backend::{Context, Epilogue, Keys, KvCache, Linear, Mask, Scores, attend, attention};
use whisper_encoder::{AudioFeatures, Checkpoint, Error, Precision, Result};

use super::SelfCache;
use super::network::Scratch;
use super::weights::{LayerNorm, prepare, prepare_stored, stack};

/// Weights of one block.
pub(super) struct Block {
    heads: usize,
    self_norm: LayerNorm,
    /// Query, key and value as one layer `[3 × d_model, d_model]`.
    qkv: Linear,
    self_out: Linear,
    pub(super) cross_attend: CrossAttention,
    mlp_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

/// Weights of the attention on the audio.
pub(super) struct CrossAttention {
    norm: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
}

impl Block {
    pub(super) fn load(checkpoint: &Checkpoint, index: usize, precision: Precision) -> Result<Self> {
        let config = checkpoint.config();
        let (d, ffn, heads) = (config.d_model, config.text_ffn, config.n_text_head);
        let at = |part: &str| format!("decoder.layers.{index}.{part}");
        let matrix = |part: &str, rows, cols| checkpoint.matrix(&at(&format!("{part}.weight")), rows, cols);
        let bias = |part: &str, len| checkpoint.vector(&at(&format!("{part}.bias")), len);
        let linear = |part: &str, rows, cols| {
            prepare_stored(
                checkpoint,
                &at(&format!("{part}.weight")),
                (rows, cols),
                Some(&bias(part, rows)?),
                precision,
            )
        };
        // Keys have no bias.
        let zeros = vec![0.0; d];
        let stacked = |parts: &[&str], biases: &[&[f32]]| {
            let weights = parts.iter().map(|part| matrix(part, d, d)).collect::<Result<Vec<_>>>()?;
            prepare(
                checkpoint,
                &at(parts[0]),
                stack(weights)?.as_cpu(),
                (3 * d, d),
                Some(&biases.concat()),
                precision,
            )
        };
        Ok(Self {
            heads,
            self_norm: LayerNorm::load(checkpoint, &at("self_attn_layer_norm"))?,
            qkv: stacked(
                &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
                &[&bias("self_attn.q_proj", d)?, &zeros, &bias("self_attn.v_proj", d)?],
            )?,
            self_out: linear("self_attn.out_proj", d, d)?,
            cross_attend: CrossAttention {
                norm: LayerNorm::load(checkpoint, &at("encoder_attn_layer_norm"))?,
                query: linear("encoder_attn.q_proj", d, d)?,
                key: prepare_stored(checkpoint, &at("encoder_attn.k_proj.weight"), (d, d), None, precision)?,
                value: linear("encoder_attn.v_proj", d, d)?,
                out: linear("encoder_attn.out_proj", d, d)?,
                heads,
            },
            mlp_norm: LayerNorm::load(checkpoint, &at("final_layer_norm"))?,
            fc1: linear("fc1", ffn, d)?,
            fc2: linear("fc2", d, ffn)?,
        })
    }

    /// Bytes of the weights that a step reads.
    pub(super) fn step_bytes(&self) -> usize {
        let cross = &self.cross_attend;
        let layers = [&self.qkv, &self.self_out, &cross.query, &cross.out, &self.fc1, &self.fc2];
        layers.map(Linear::bytes).iter().sum()
    }

    /// The first half of the block: keys and values of `scratch.x` `[rows × n, d_model]` to the cache, and to `scratch.mixed`
    /// what each token takes from those before it; as the encoder attends where n are `many`.
    pub(super) fn self_attend(
        &self,
        context: &Context,
        index: usize,
        (n, many): (usize, bool),
        cache: &mut SelfCache,
        scratch: &mut Scratch,
    ) {
        let d = self.self_norm.weight.len();
        let entries = scratch.x.len() / d;
        scratch.h.resize(entries * d, 0.0);
        scratch.mixed.resize(entries * d, 0.0);

        self.self_norm.apply(context, &scratch.x, &mut scratch.h);
        scratch.qkv.resize(entries * 3 * d, 0.0);
        self.qkv.forward(context, &scratch.h, entries, &mut scratch.qkv, Epilogue::None);
        self.attend_to_text(context, index, (n, many), cache, scratch);
    }

    /// The second half: adds the block's three residuals to `scratch.x` `[entries, d_model]`, each entry by itself.
    pub(super) fn finish(
        &self,
        context: &Context,
        cross: &KvCache,
        scratch: &mut Scratch,
        watched: &[usize],
    ) {
        let entries = scratch.x.len() / self.self_norm.weight.len();
        self.self_out.forward(context, &scratch.mixed, entries, &mut scratch.x, Epilogue::Residual);

        self.cross_attend.forward(context, cross, scratch, watched);

        self.mlp_norm.apply(context, &scratch.x, &mut scratch.h);
        scratch.hidden.resize(entries * self.fc1.outputs(), 0.0);
        self.fc1.forward(context, &scratch.h, entries, &mut scratch.hidden, Epilogue::Gelu);
        self.fc2.forward(context, &scratch.hidden, entries, &mut scratch.x, Epilogue::Residual);
    }

    /// Writes the new keys and values to the cache, then lets each token see itself and what came before it.
    fn attend_to_text(
        &self,
        context: &Context,
        index: usize,
        (n, many): (usize, bool),
        cache: &mut SelfCache,
        scratch: &mut Scratch,
    ) {
        let d = self.self_norm.weight.len();
        let scale = scale(d / self.heads);
        let Scratch { qkv, query, key, value, mixed, .. } = scratch;
        [&mut *query, key, value].into_iter().for_each(Vec::clear);
        for (entry, qkv) in qkv.chunks_exact(3 * d).enumerate() {
            query.extend_from_slice(&qkv[..d]);
            if many {
                key.extend_from_slice(&qkv[d..2 * d]);
                value.extend_from_slice(&qkv[2 * d..]);
            }
            let written = cache.of_mut(entry / n, index).extend(&qkv[d..2 * d], &qkv[2 * d..]);
            assert!(written.is_ok(), "callers check the cache's room: {written:?}");
        }
        if n == 1 {
            let rows: Vec<&KvCache> = (0..cache.rows()).map(|row| cache.of(row, index)).collect();
            attend(context, query, Keys::Each(&rows), Mask::None, scale, None, mixed);
            return;
        }
        if many && cache.rows() == 1 && n == cache.of(0, index).len() {
            // All keys are here as they were: many queries at once, as in the encoder.
            attention(context, query, key, value, self.heads, d / self.heads, Mask::Causal, scale, mixed);
            return;
        }
        let rows = query.chunks_exact(n * d).zip(mixed.chunks_exact_mut(n * d));
        for (row, (query, mixed)) in rows.enumerate() {
            let keys = Keys::Shared(cache.of(row, index));
            attend(context, query, keys, Mask::Causal, scale, None, mixed);
        }
    }
}

impl CrossAttention {
    /// Writes this block's keys and values of `features` to `cache`; `keys` and `values` are room for them,
    /// `[frames, d_model]`.
    pub(super) fn project(
        &self,
        context: &Context,
        features: &AudioFeatures,
        (keys, values): (&mut [f32], &mut [f32]),
        cache: &mut KvCache,
    ) -> Result<()> {
        let frames = features.frames();
        self.key.forward(context, features.data(), frames, keys, Epilogue::None);
        self.value.forward(context, features.data(), frames, values, Epilogue::None);
        cache.fill(context, keys, values).map_err(|error| Error::Shape(error.to_string()))
    }

    fn forward(&self, context: &Context, audio: &KvCache, scratch: &mut Scratch, watched: &[usize]) {
        let d = self.norm.weight.len();
        let entries = scratch.x.len() / d;
        self.norm.apply(context, &scratch.x, &mut scratch.h);
        scratch.query.resize(entries * d, 0.0);
        self.query.forward(context, &scratch.h, entries, &mut scratch.query, Epilogue::None);
        scratch.scores.resize(watched.len() * entries * audio.len(), 0.0);
        let scores = (!watched.is_empty()).then_some(Scores { heads: watched, out: &mut scratch.scores });
        let scale = scale(d / self.heads);
        attend(context, &scratch.query, Keys::Shared(audio), Mask::None, scale, scores, &mut scratch.mixed);
        self.out.forward(context, &scratch.mixed, entries, &mut scratch.x, Epilogue::Residual);
    }
}

/// 1 / √head_dim.
#[allow(clippy::cast_precision_loss, reason = "head_dim is at most a few hundred")]
fn scale(head_dim: usize) -> f32 {
    1.0 / (head_dim as f32).sqrt()
}
