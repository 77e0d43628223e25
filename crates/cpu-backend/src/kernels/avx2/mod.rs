//! The kernels for AVX2 + FMA + F16C: 8 lanes, a register block of 6 rows × 16 columns (12 of 16 registers).

mod halves;
mod lanes;
mod products;
mod whole;
mod words;

pub(crate) use halves::halves;
pub(crate) use products::{round_i16, tile_i16, widen_i16};
pub(crate) use whole::{merge, soften_i16};
pub(crate) use words::{few_words, split};

crate::kernels::instantiate::instantiate!(lanes::Avx2, tile 6 x 2, #[target_feature(enable = "avx2,fma,f16c")]);
