//! The decoder's forward pass: x = embed(tokens) + positions; blocks; norm; logits = x Eᵀ with the tied embedding.

use cpu_backend::{Context, Embedding, KvStorage};
use whisper_encoder::{AudioFeatures, CancelToken, Checkpoint, Config, Precision, Result};

use super::block::Block;
use super::cross::CrossMemory;
use super::weights::{LayerNorm, kv_storage, prepare_stored};
use super::{CrossCache, SelfCache};
use crate::decoding::Likely;

/// Tokens from which a prompt attends as the encoder does, all its queries at once: not the three that begin every window.
const MANY_ROWS: usize = 16;

/// A Whisper text decoder; immutable, to be shared.
pub struct TextDecoder {
    pub(super) context: Context,
    /// For the many rows of the audio's keys and values: rounds activations where the encoder does. Prompts are read as steps
    /// are: rounded to 8 bits, too, they took a quarter less time, and one text in twenty came out with another word or comma.
    projecting: Context,
    config: Config,
    /// `[n_vocab, d_model]`, for the embedding and, tied, for the logits.
    embedding: Embedding,
    /// `[n_text_ctx, d_model]`
    positions: Vec<f32>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    cross: CrossMemory,
    /// How keys and values of tokens are kept.
    of_tokens: KvStorage,
}

/// Buffers of a forward pass, kept between steps.
#[derive(Default)]
pub struct Scratch {
    pub(super) x: Vec<f32>,
    pub(super) h: Vec<f32>,
    pub(super) qkv: Vec<f32>,
    pub(super) query: Vec<f32>,
    /// Keys and values of a prompt.
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
    pub(super) mixed: Vec<f32>,
    pub(super) hidden: Vec<f32>,
    /// Cross-attention scores of one block's watched heads, `[entries, watched, n_audio_ctx]`.
    pub(super) scores: Vec<f32>,
}

impl Scratch {
    /// Of the entries of a block between its halves, keeps those at `places`, in that order.
    fn keep(&mut self, places: &[usize], d: usize) {
        for rows in [&mut self.x, &mut self.mixed] {
            *rows = places.iter().flat_map(|&at| &rows[at * d..(at + 1) * d]).copied().collect();
        }
        self.h.resize(places.len() * d, 0.0);
    }
}

/// Cross-attention heads whose scores before the softmax someone wants.
pub(super) struct Watch<'a> {
    /// Heads of each block.
    pub(super) heads: &'a [Vec<usize>],
    /// Called after each block that has any, with its index and `[entries, watched heads, n_audio_ctx]`.
    pub(super) visit: &'a mut dyn FnMut(usize, &[f32]),
}

impl TextDecoder {
    /// Loads the decoder's half of `checkpoint`.
    ///
    /// # Errors
    /// [`whisper_encoder::Error::Checkpoint`] for missing or misshapen tensors.
    pub fn load(checkpoint: &Checkpoint, context: Context, precision: Precision) -> Result<Self> {
        let config = checkpoint.config().clone();
        let projecting = match precision {
            // The encoder's weights would be bf16; those kept as int8 multiply faster as steps do it.
            Precision::Bf16 => precision.within(context.clone()),
            _ => precision.of_encoder(context.clone()).0,
        };
        let context = precision.within(context);
        let (of_audio, of_tokens) = kv_storage(precision);
        let d = config.d_model;
        let vocabulary = (config.n_vocab, d);
        let positions = checkpoint.tensor("decoder.embed_positions.weight", &[config.n_text_ctx, d])?;
        // Each about half of it: side by side, so that the first word comes sooner.
        let norm = LayerNorm::load(checkpoint, "decoder.layer_norm")?;
        let (embedding, blocks) = rayon::join(
            || -> Result<Embedding> {
                let name = "decoder.embed_tokens.weight";
                let embedding =
                    Embedding::new(prepare_stored(checkpoint, name, vocabulary, None, precision)?);
                Ok(match precision {
                    Precision::Auto | Precision::Int8 => embedding.with_estimates(norm.mean_squares()),
                    _ => embedding,
                })
            },
            || {
                (0..config.n_text_layer)
                    .map(|index| Block::load(checkpoint, index, precision))
                    .collect::<Result<_>>()
            },
        );
        Ok(Self {
            embedding: embedding?,
            cross: CrossMemory::new(&config, of_audio),
            of_tokens,
            positions,
            blocks: blocks?,
            norm,
            context,
            projecting,
            config,
        })
    }

    /// Dimensions of the model.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes that a step of one row reads at least: all packed weights, of the vocabulary's what estimates its logits, and the keys
    /// and values of `cross`. The tokens' own keys and values come on top.
    #[must_use]
    pub fn step_bytes(&self, cross: &CrossCache) -> usize {
        let weights: usize = self.blocks.iter().map(Block::step_bytes).sum();
        let audio: usize = cross.blocks.iter().map(|cache| cache.len() * cache.bytes_per_position()).sum();
        self.embedding.likely_bytes(&self.context) + weights + audio
    }

    /// An empty self-attention cache with one row.
    #[must_use]
    pub fn new_cache(&self) -> SelfCache {
        let head_dim = self.config.d_model / self.config.n_text_head;
        let (blocks, heads) = (self.blocks.len(), self.config.n_text_head);
        SelfCache::new(blocks, heads, head_dim, self.config.n_text_ctx, self.of_tokens)
    }

    /// Projects the audio features of one window to every block's cross-attention keys and values.
    ///
    /// # Errors
    /// [`whisper_encoder::Error::Cancelled`], or `Shape` if the features have another width.
    pub fn cross_cache(&self, features: &AudioFeatures, cancel: &CancelToken) -> Result<CrossCache> {
        let mut cross = self.cross.take(features, &self.config)?;
        let room = features.frames() * features.d_model();
        let (mut keys, mut values) = (vec![0.0; room], vec![0.0; room]);
        for (block, cache) in self.blocks.iter().zip(cross.blocks_mut()) {
            cancel.check()?;
            block.cross_attend.project(&self.projecting, features, (&mut keys, &mut values), cache)?;
        }
        Ok(cross)
    }

    /// Appends `tokens` `[rows, n]` to the cache; leaves the normed hidden states `[rows × n, d_model]` in `scratch`, or, of
    /// one row, those at the positions `wanted`.
    pub(super) fn forward(
        &self,
        tokens: &[u32],
        cache: &mut SelfCache,
        cross: &CrossCache,
        scratch: &mut Scratch,
        wanted: Option<&[usize]>,
        mut watch: Option<Watch<'_>>,
    ) {
        let (entries, d) = (tokens.len(), self.config.d_model);
        let n = entries / cache.rows();
        scratch.x.resize(entries * d, 0.0);
        for (entry, (&token, x)) in tokens.iter().zip(scratch.x.chunks_exact_mut(d)).enumerate() {
            self.embedding.row(token as usize, x);
            let position = (cache.len() + entry % n) * d;
            x.iter_mut().zip(&self.positions[position..position + d]).for_each(|(x, p)| *x += p);
        }
        // Whoever watches scores gets those of steps.
        let many = n >= MANY_ROWS && watch.is_none();
        let context = &self.context;
        for (index, (block, audio)) in self.blocks.iter().zip(&cross.blocks).enumerate() {
            let watched = watch.as_ref().map_or(&[][..], |watch| &watch.heads[index]);
            block.self_attend(context, index, (n, many), cache, scratch);
            if let Some(wanted) = wanted.filter(|_| index + 1 == self.blocks.len()) {
                // No later block asks what the others hear.
                scratch.keep(wanted, d);
            }
            block.finish(context, audio, scratch, watched);
            if let Some(watch) = watch.as_mut().filter(|watch| !watch.heads[index].is_empty()) {
                (watch.visit)(index, &scratch.scores);
            }
        }
        cache.advance(n);
        self.norm.apply(context, &scratch.x, &mut scratch.h);
    }

    /// Logits `[rows, n_vocab]` of hidden states `[rows, d_model]`.
    pub(super) fn logits(&self, hidden: &[f32], logits: &mut [f32]) {
        self.embedding.logits(&self.context, hidden, logits);
    }

    /// As [`Self::logits`] of one hidden state, for a caller who wants the largest: see [`Embedding::likely_logits`].
    pub(super) fn likely_logits(&self, hidden: &[f32], likely: Likely, logits: &mut [f32]) {
        self.embedding.likely_logits(&self.context, hidden, likely.text, likely.never, logits);
    }
}
