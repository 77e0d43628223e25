//! From shapes to launches: pure plans, packing, and the pieces that keep a device busy. Names no device.
//!
//! ```text
//! GemmProblem ─▶ gemm (loop order ▸ fills, drains)       ─▶ Program ─▶ words
//! weights     ─▶ pack (parameter objects, tiles)          ─▶ bytes of a resident buffer
//! ```

pub mod attention;
pub mod attention_int8;
pub mod gemm;
pub mod geometry;
pub mod order;
pub mod pack;
pub mod params;

#[cfg(test)]
mod tests;

pub use attention::{AttentionProblem, Queries};
pub use attention_int8::Int8AttentionProblem;
pub use gemm::{GemmKind, GemmProblem, Region};
pub use geometry::Grid;
pub use order::LoopOrder;
