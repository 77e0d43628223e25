//! The kernels for AVX-512: 16 lanes, a register block of 12 rows × 32 columns (24 of 32 registers).

mod bytes;
mod exponentials;
mod lanes;
mod pairs;
mod quads;
mod weights;
mod words;

pub(crate) use bytes::{merge, round_i8, soften_bytes};
pub(crate) use exponentials::exp2_bf16;
pub(crate) use lanes::Avx512;
pub(crate) use pairs::{narrow, tile_bf16};
pub(crate) use quads::{add_rows, quantise, tile_u8};
pub(crate) use weights::{weigh_bf16, weigh_f32};
pub(crate) use words::{few_words, split};

crate::kernels::instantiate::instantiate!(
    lanes::Avx512, tile 12 x 2,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
);
