//! The encoder's residual blocks, and the convolutions before them, in one piece on memory that is kept.
//!
//! Between two attentions every row goes its own way: out ▸ + ▸ norm ▸ fc1 ▸ GELU ▸ fc2 ▸ + ▸ norm ▸ query, key, value of
//! the next block. So a block of rows goes that whole way in one task, in one core's caches, and threads meet only
//! before and after each attention. Numbers are handed on in the type that the next product reads; sums of the
//! residual stream, norms and the softmax are f32.

mod chain;
mod stem;
mod workspace;

pub use stem::{Convolution, encode_stem};
pub use workspace::Workspace;

use crate::attention::{Heads, Mask, attend_all};
use crate::context::Context;
use crate::kernels::PANEL;
use crate::linear::Linear;

/// γ and β of a layer norm, `[d_model]` each.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// γ.
    pub gamma: &'a [f32],
    /// β.
    pub beta: &'a [f32],
}

/// One pre-norm residual block: x ← x + out(attention(norm(x))); x ← x + fc2(GELU(fc1(norm(x)))).
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Heads of the attention.
    pub heads: usize,
    /// Before the attention.
    pub attention_norm: Norm<'a>,
    /// Queries, not yet scaled by 1 / √(head dimension).
    pub query: &'a Linear,
    /// Keys.
    pub key: &'a Linear,
    /// Values.
    pub value: &'a Linear,
    /// After the attention.
    pub out: &'a Linear,
    /// Before the perceptron.
    pub mlp_norm: Norm<'a>,
    /// The perceptron's first layer, before GELU.
    pub fc1: &'a Linear,
    /// The perceptron's second layer.
    pub fc2: &'a Linear,
}

impl Block<'_> {
    /// Whether its parts fit together for rows of `d_model`, with heads of whole panels (multiples of 32).
    #[must_use]
    pub fn fits(&self, d_model: usize) -> bool {
        let square = |layer: &Linear| (layer.outputs(), layer.inputs()) == (d_model, d_model);
        let norm = |norm: Norm| norm.gamma.len() == d_model && norm.beta.len() == d_model;
        let head_dim = d_model.checked_div(self.heads).unwrap_or(0);
        head_dim * self.heads == d_model
            && head_dim > 0
            && head_dim.is_multiple_of(PANEL)
            && head_dim <= crate::attention::MAX_HEAD_DIM
            && [self.query, self.key, self.value, self.out].into_iter().all(square)
            && norm(self.attention_norm)
            && norm(self.mlp_norm)
            && self.fc1.inputs() == d_model
            && (self.fc2.outputs(), self.fc2.inputs()) == (d_model, self.fc1.outputs())
    }
}

/// ε of the layer norms.
const EPS: f32 = 1e-5;

/// Runs `x` `[rows, d_model]` through residual blocks, in place. Before each, `go_on` is asked; returns whether all ran
/// (otherwise `x` is unfinished).
///
/// Nothing is allocated once `workspace` and the threads' own working memory have grown to the shape.
///
/// # Panics
/// When `x` is not whole rows, a block does not [`fit`](Block::fits), or blocks differ in their heads.
pub fn encode_blocks(
    ctx: &Context,
    blocks: &[Block],
    d_model: usize,
    x: &mut [f32],
    workspace: &mut Workspace,
    go_on: impl Fn() -> bool,
) -> bool {
    assert!(d_model > 0 && x.len().is_multiple_of(d_model), "{} numbers in rows of {d_model}", x.len());
    assert!(blocks.iter().all(|block| block.fits(d_model)), "a block does not fit {d_model} features");
    let rows = x.len() / d_model;
    let Some(first) = blocks.first() else { return true };
    assert!(blocks.iter().all(|block| block.heads == first.heads), "blocks with other counts of heads");
    if rows == 0 {
        return true;
    }
    if !go_on() {
        return false;
    }
    workspace.grow(ctx, first.heads, d_model, rows);
    chain::project(ctx, first, x, workspace);
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 && !go_on() {
            return false;
        }
        let (heads, mixed) = workspace.heads(ctx, block.heads, d_model, rows);
        attend_all(ctx, &heads, Mask::None, mixed);
        chain::after_attention(ctx, block, blocks.get(index + 1), x, workspace);
    }
    true
}

impl Workspace {
    /// Packed heads to read, and where their mixture goes.
    fn heads(&mut self, ctx: &Context, heads: usize, d_model: usize, rows: usize) -> (Heads<'_>, &mut [f32]) {
        let shape = workspace::shape(ctx, heads, d_model, rows);
        (Heads::of(shape, &self.packed, &self.scales), &mut self.mixed[..rows * d_model])
    }
}
