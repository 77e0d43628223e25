//! The encoder's memory between operations, grown once and kept.

use crate::aligned::Aligned;
use crate::attention::{Shape, number};
use crate::context::Context;

/// What the encoder keeps between operations; one for each window that is encoded at the same time.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Queries, keys and values of all heads, packed.
    pub(super) packed: Aligned<u8>,
    /// What they stand for, where those are bytes.
    pub(super) scales: Aligned<f32>,
    /// What attention gives, `[rows, d_model]`.
    pub(super) mixed: Aligned<f32>,
    /// The convolutions' inputs.
    pub(super) frames: [Aligned<u8>; 2],
}

impl Workspace {
    /// One without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn grow(&mut self, ctx: &Context, heads: usize, d_model: usize, rows: usize) {
        let shape = shape(ctx, heads, d_model, rows);
        enlarge(&mut self.packed, shape.bytes());
        enlarge(&mut self.scales, shape.scales());
        enlarge(&mut self.mixed, rows * d_model);
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.packed.len()
            + 4 * (self.scales.len() + self.mixed.len())
            + self.frames[0].len()
            + self.frames[1].len()
    }
}

/// Makes room for `len`; what was there is lost when it grows.
pub(super) fn enlarge<T: Copy + Default>(buffer: &mut Aligned<T>, len: usize) {
    if buffer.len() < len {
        *buffer = Aligned::zeroed(len);
    }
}

/// All rows attend to all.
pub(super) fn shape(ctx: &Context, heads: usize, d_model: usize, rows: usize) -> Shape {
    Shape {
        level: ctx.level(),
        number: number(ctx),
        heads,
        head_dim: d_model / heads,
        queries: rows,
        keys: rows,
    }
}
