//! The buffers of a window on the device, and the products that walk them; made once for a model's dimensions.

use npu_backend::ops::Engine;
use npu_backend::schedule::{AttentionProblem, GemmKind, GemmProblem, Grid, Queries, Region};
use npu_backend::{Buffer, BufferRole, Result};

/// Dimensions of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BlockDims {
    pub(super) frames: usize,
    pub(super) d_model: usize,
    pub(super) ffn: usize,
    pub(super) heads: usize,
    /// Types of the products whose input comes from a layer norm.
    pub(super) kind: GemmKind,
}

/// A block's way through device memory:
/// `input` ▸ q, k, v in `qkv` ▸ attention ▸ `mixed` ▸ `delta`; `input` ▸ `hidden` ▸ `delta`.
pub(super) struct BlockBuffers {
    pub(super) input: Buffer,
    pub(super) qkv: Buffer,
    pub(super) params: Buffer,
    pub(super) mixed: Buffer,
    pub(super) hidden: Buffer,
    pub(super) delta: Buffer,
    /// `input` ▸ each of q, k, v.
    pub(super) project: [GemmProblem; 3],
    pub(super) attention: AttentionProblem,
    /// `mixed` ▸ `delta`.
    pub(super) out: GemmProblem,
    /// `input` ▸ `hidden`.
    pub(super) fc1: GemmProblem,
    /// `hidden` ▸ `delta`.
    pub(super) fc2: GemmProblem,
}

impl BlockBuffers {
    pub(super) fn new(engine: &mut Engine, dims: BlockDims) -> Result<Self> {
        let grid = engine.grid();
        let BlockDims { frames: m, d_model: d, ffn, heads, kind } = dims;
        let from_norm = product(grid, kind, (m, d, d));
        let part_bytes = from_norm.c_len_bytes(grid);
        let part = |index: usize| Region { offset_bytes: index * part_bytes, ..from_norm.c };
        let project = [0, 1, 2].map(|index| GemmProblem { c: part(index), ..from_norm });
        let attention = AttentionProblem {
            heads,
            frames: m,
            queries: Queries::Plain,
            q: part(0),
            k: part(1),
            v: part(2),
            out: from_norm.c,
        };
        let out = GemmProblem { a: attention.out, ..product(grid, GemmKind::Bf16, (m, d, d)) };
        let fc1 = product(grid, kind, (m, d, ffn));
        let fc2 = GemmProblem { a: fc1.c, ..product(grid, GemmKind::Bf16, (m, ffn, d)) };
        // The next block of heads may be read behind the last row of the queries.
        let qkv_bytes = 3 * part_bytes;
        let params = attention.params(grid);
        let mut buffers = Self {
            input: engine.buffer(from_norm.a_len_bytes(grid), BufferRole::Input)?,
            qkv: engine.buffer(qkv_bytes, BufferRole::Scratch)?,
            params: engine.buffer(params.len(), BufferRole::Weight)?,
            mixed: engine.buffer(part_bytes.max(out.a_len_bytes(grid)), BufferRole::Scratch)?,
            hidden: engine.buffer(fc1.c_len_bytes(grid).max(fc2.a_len_bytes(grid)), BufferRole::Scratch)?,
            delta: engine.buffer(out.c_len_bytes(grid), BufferRole::Output)?,
            project,
            attention,
            out,
            fc1,
            fc2,
        };
        let params_id = buffers.params.id();
        engine.write(params_id, 0..params.len(), |bytes| bytes.copy_from_slice(&params))?;
        // An int8 row carries its scale behind it, at the same place for q, k, v and fc1.
        buffers.fc1.a = from_norm.a;
        Ok(buffers)
    }
}

/// A product between rows without gaps.
pub(super) fn product(grid: Grid, kind: GemmKind, (m, k, n): (usize, usize, usize)) -> GemmProblem {
    let mut problem =
        GemmProblem { kind, m, k, n, a: Region::default(), c: Region::default(), residual: None };
    problem.a.row_stride_bytes = problem.a_row_bytes();
    problem.c.row_stride_bytes = problem.c_row_bytes(grid);
    problem
}
