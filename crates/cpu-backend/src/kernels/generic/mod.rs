//! The arithmetic, written once over [`simd::Simd`] and compiled once per level.

pub(crate) mod matrix;
pub(crate) mod rows;
pub(crate) mod simd;
