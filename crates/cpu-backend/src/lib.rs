//! Whisper's arithmetic on a CPU: linear layers, attention and row operations in f32, with weights kept as f32,
//! bf16 or int8. No dependence on a tensor library: slices in, slices out, row-major.
//!
//! | concept | here |
//! |---|---|
//! | which instructions | [`Level`]: portable, AVX2, AVX-512 or AMX, found at run time; holding one proves it is there |
//! | which threads | [`Context`]: a level and a pool of threads |
//! | a layer's weights | [`Linear`], packed once from [`Weights`] into a [`Storage`] and then resident |
//! | `y = x·Wᵀ + b` and what follows | [`Linear::forward`] with an [`Epilogue`] |
//! | a tied token embedding | [`Embedding`]: rows of tokens, logits of hidden states, all or the likely ones |
//! | the encoder's attention | [`attention()`]: all positions at once |
//! | the decoder's attention | [`attend`]: a few queries against a [`KvCache`], each its own or one for all |
//! | the whole encoder | [`encode_stem`], then [`encode_blocks`], on a [`Workspace`] |
//! | a row of logits | [`largest`], [`sum_exp`], which leave it as it is |
//! | between the layers | [`layer_norm`], [`gelu`], [`softmax`], [`add`] |
//! | what is right | [`reference`](mod@reference): the same in f64, naively; tests hold every level to it |
//!
//! Sums are in f32 in an order that depends on the level and on the count of rows, so results differ between
//! levels by rounding, and by nothing else. On levels with products in bf16, [`attention()`] and layers kept in bf16
//! round what they multiply to it, unless [`Context::with_f32_activations`] forbids it; to 8 or 16 bits only if
//! [`Context::with_int8_activations`] or [`Context::with_int16_activations`] asks; queries and weights of attention against a
//! cache of whole numbers are rounded to 16 bits where the level has VNNI. [`Embedding::likely_logits`] alone estimates. The count of threads changes nothing. Operations take their working
//! memory once per thread and keep it: the encoder's steady state allocates nothing. Filling a cache of whole numbers takes
//! a few rows of new memory.
//!
//! Lengths that disagree are the caller's mistakes and panic, as indexing does; what may come from a file
//! (weights) is checked with an [`Error`].
//!
//! ```
//! use cpu_backend::{Context, Epilogue, Keys, KvCache, KvStorage, Level, Linear, Mask, Storage, Weights, attend};
//!
//! let ctx = Context::new(Level::detect(), 2)?;
//!
//! // A layer of 2 inputs and 3 outputs, its weights kept as whole numbers times a scale per output.
//! let weights = [1.0, -1.0, 0.5, 0.0, 0.0, 127.0];
//! let layer = Linear::new(Weights::F32(&weights), Some(&[0.0, 1.0, 0.0]), 3, 2, Storage::Int8)?;
//! let mut y = [0.0; 3];
//! layer.forward(&ctx, &[2.0, 1.0], 1, &mut y, Epilogue::None);
//! assert!((y[0] - 1.0).abs() < 1e-6 && (y[1] - 2.0).abs() < 1e-6 && (y[2] - 127.0).abs() < 1e-4);
//!
//! // One decoding step of a head of 4: a query against two cached positions with equal keys.
//! let mut cache = KvCache::new(1, 4, 448, KvStorage::F32);
//! cache.extend(&[1.0, 0.0, 0.0, 0.0], &[1.0; 4])?;
//! cache.extend(&[1.0, 0.0, 0.0, 0.0], &[3.0; 4])?;
//! let mut out = [0.0; 4];
//! attend(&ctx, &[0.3; 4], Keys::Shared(&cache), Mask::Causal, 0.5, None, &mut out);
//! assert!(out.iter().all(|v| (v - 2.0).abs() < 1e-6));
//! # Ok::<(), cpu_backend::Error>(())
//! ```

mod aligned;
mod attention;
mod context;
mod embedding;
mod encoder;
mod error;
mod kernels;
mod level;
mod linear;
mod pool;
pub mod reference;
mod resident;
mod row_ops;
mod scratch;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use attention::{Keys, KvCache, KvStorage, Mask, Scores, attend, attention};
pub use context::Context;
pub use embedding::Embedding;
pub use encoder::{Block, Convolution, Norm, Workspace, encode_blocks, encode_stem};
pub use error::Error;
pub use level::{Level, LevelKind};
pub use linear::{Epilogue, Linear, Storage, Weights};
pub use row_ops::{add, gelu, layer_norm, softmax};
pub use vocabulary::{largest, sum_exp};
