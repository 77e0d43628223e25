//! The kernels for AVX2 + FMA + F16C: 8 lanes, a register block of 6 rows × 16 columns (12 of 16 registers).

mod lanes;
mod words;

pub(crate) use words::{round_words, tile_i16, widen_words};

crate::kernels::instantiate::instantiate!(lanes::Avx2, tile 6 x 2, #[target_feature(enable = "avx2,fma,f16c")]);
