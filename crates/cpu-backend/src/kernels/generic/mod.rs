//! The arithmetic, written once over [`simd::Simd`] and compiled once per level.

// Register blocks are arrays indexed by constants that unroll away; iterators would hide which register is meant.
#![allow(clippy::needless_range_loop)]

pub(crate) mod matrix;
pub(crate) mod rows;
pub(crate) mod simd;
