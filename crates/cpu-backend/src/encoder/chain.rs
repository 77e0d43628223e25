//! What happens to a block of rows between two attentions, in one task.

use super::workspace::shape;
use super::{Block, EPS, Norm, Workspace};
use crate::attention::{Packing, unit};
use crate::context::Context;
use crate::kernels::{Disjoint, Ending, Number};
use crate::linear::{Linear, Operand, blocks};
use crate::scratch;

/// Norm, query, key and value of the first block.
pub(super) fn project(ctx: &Context, block: &Block, x: &[f32], workspace: &mut Workspace) {
    let d_model = block.attention_norm.gamma.len();
    let rows = x.len() / d_model;
    let cut = blocks(ctx, rows);
    let shape = shape(ctx, block.heads, d_model, rows);
    let packing = Packing::new(shape, &mut workspace.packed, &mut workspace.scales);
    ctx.run(cut.count(), |task| {
        let range = cut.rows(task);
        let x = &x[range.start * d_model..range.end * d_model];
        Chain { ctx, d_model, first: range.start }.project(block, x, &packing);
    });
}

/// From what attention gave to the end of `block`, then norm, query, key and value of the `next`.
pub(super) fn after_attention(
    ctx: &Context,
    block: &Block,
    next: Option<&Block>,
    x: &mut [f32],
    workspace: &mut Workspace,
) {
    let d_model = block.attention_norm.gamma.len();
    let rows = x.len() / d_model;
    let cut = blocks(ctx, rows);
    let shape = shape(ctx, block.heads, d_model, rows);
    let packing = Packing::new(shape, &mut workspace.packed, &mut workspace.scales);
    let mixed = &workspace.mixed[..rows * d_model];
    let x = Disjoint::new(x);
    ctx.run(cut.count(), |task| {
        let range = cut.rows(task);
        // SAFETY: these rows belong to this task alone.
        let x = unsafe { x.part(range.start * d_model, range.len() * d_model) };
        let chain = Chain { ctx, d_model, first: range.start };
        chain.add_attention(block, &mixed[range.start * d_model..range.end * d_model], x);
        chain.add_perceptron(block, x);
        if let Some(next) = next {
            chain.project(next, x, &packing);
        }
    });
}

/// A block of rows, `first` and those after it.
struct Chain<'a> {
    ctx: &'a Context,
    d_model: usize,
    first: usize,
}

impl Chain<'_> {
    /// x ← x + out(mixed).
    fn add_attention(&self, block: &Block, mixed: &[f32], x: &mut [f32]) {
        let rows = x.len() / self.d_model;
        self.operand(block.out, rows, |operand| {
            operand.load(mixed, self.d_model);
            self.add_product(block.out, operand, x);
        });
    }

    /// x ← x + fc2(GELU(fc1(norm(x)))).
    fn add_perceptron(&self, block: &Block, x: &mut [f32]) {
        let rows = x.len() / self.d_model;
        let width = block.fc1.outputs();
        let gelu = match block.fc2.operand(self.ctx) {
            Number::U8 | Number::I16 => Ending::CoarseGelu,
            _ => Ending::Gelu,
        };
        scratch::with(rows * width, |hidden| {
            self.operand(block.fc1, rows, |operand| {
                self.load_normal(block.mlp_norm, x, operand);
                block.fc1.product(operand, block.fc1.panels(), |sums| sums.into(gelu, hidden, width));
            });
            self.operand(block.fc2, rows, |operand| {
                operand.load(hidden, width);
                self.add_product(block.fc2, operand, x);
            });
        });
    }

    /// Query, key and value of norm(x), packed for attention.
    fn project(&self, block: &Block, x: &[f32], packing: &Packing) {
        let rows = x.len() / self.d_model;
        let head_dim = self.d_model / block.heads;
        let scale = unit(packing.shape().number) / (head_dim as f32).sqrt();
        self.operand(block.query, rows, |operand| {
            self.load_normal(block.attention_norm, x, operand);
            self.each_row(block.query, operand, |row, query| {
                // SAFETY: these rows belong to this task alone.
                unsafe { packing.put_query(self.first + row, query, scale) };
            });
            self.matching(block.key, operand, block, x, |operand| {
                self.each_row(block.key, operand, |row, key| {
                    // SAFETY: as above.
                    unsafe { packing.put_key(self.first + row, key) };
                });
            });
            self.matching(block.value, operand, block, x, |operand| {
                self.each_row(block.value, operand, |row, value| {
                    // SAFETY: as above.
                    unsafe { packing.put_value(self.first + row, value) };
                });
            });
        });
    }

    /// Calls `f` with each row of layer(operand) `[d_model]`.
    fn each_row(&self, layer: &Linear, operand: &Operand, f: impl Fn(usize, &[f32])) {
        scratch::with(operand.rows() * self.d_model, |out| {
            layer.product(operand, layer.panels(), |sums| sums.into(Ending::Store, out, self.d_model));
            out.chunks_exact(self.d_model).enumerate().for_each(|(row, out)| f(row, out));
        });
    }

    /// Lends `operand` if `layer` reads such numbers, or another one made anew.
    fn matching(
        &self,
        layer: &Linear,
        operand: &mut Operand,
        block: &Block,
        x: &[f32],
        f: impl FnOnce(&mut Operand),
    ) {
        if layer.operand(self.ctx) == operand.number() {
            return f(operand);
        }
        self.operand(layer, x.len() / self.d_model, |operand| {
            self.load_normal(block.attention_norm, x, operand);
            f(operand);
        });
    }

    /// Room for rows that `layer` reads.
    fn operand(&self, layer: &Linear, rows: usize, f: impl FnOnce(&mut Operand)) {
        Operand::with(self.ctx.level(), layer.operand(self.ctx), rows, layer.inputs(), f);
    }

    /// Norm of every row, as the product reads it.
    fn load_normal(&self, norm: Norm, x: &[f32], operand: &mut Operand) {
        scratch::with(self.d_model, |normal| {
            for (row, x) in x.chunks_exact(self.d_model).enumerate() {
                self.ctx.level().layer_norm(x, norm.gamma, norm.beta, EPS, normal);
                operand.set(row, normal);
            }
        });
    }

    /// x ← x + layer(operand).
    fn add_product(&self, layer: &Linear, operand: &Operand, x: &mut [f32]) {
        layer.product(operand, layer.panels(), |sums| sums.into(Ending::Add, x, self.d_model));
    }
}
