//! The buffers of a window on the device, and the products that walk them; made once for a model's dimensions.

use npu_backend::ops::Engine;
use npu_backend::schedule::{AttentionProblem, GemmKind, GemmProblem, Queries, Region};
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

/// A block's way through device memory, shared by all blocks. The window is cut in parts, so that the host works on
/// one while the device works on another.
pub(super) struct BlockBuffers {
    /// Queries, keys and values of the whole window: every query meets every key.
    pub(super) qkv: Buffer,
    pub(super) params: Buffer,
    pub(super) parts: Vec<Part>,
}

/// Some frames of a window: `input` ▸ q, k, v in `qkv` ▸ attention ▸ `mixed` ▸ `delta`; `input` ▸ `hidden` ▸ `delta`.
pub(super) struct Part {
    /// First frame, and how many.
    pub(super) first: usize,
    pub(super) frames: usize,
    pub(super) input: Buffer,
    pub(super) mixed: Buffer,
    pub(super) hidden: Buffer,
    pub(super) delta: Buffer,
    /// `input` ▸ q, k and v in one.
    pub(super) joined: GemmProblem,
    /// The same as three, for whoever looks at one of them.
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
        let whole = GemmProblem::dense(grid, dims.kind, (dims.frames, dims.d_model, dims.d_model));
        let qkv = engine.buffer(3 * whole.c_len_bytes(grid), BufferRole::Scratch)?;
        let spans = spans(dims.frames, grid.block_rows());
        let parts = spans.into_iter().map(|(first, frames)| Part::new(engine, dims, first, frames));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let words = parts[0].attention.params(grid);
        let params = engine.buffer(words.len(), BufferRole::Weight)?;
        engine.write(params.id(), 0..words.len(), |bytes| bytes.copy_from_slice(&words))?;
        Ok(Self { qkv, params, parts })
    }
}

impl Part {
    fn new(engine: &mut Engine, dims: BlockDims, first: usize, frames: usize) -> Result<Self> {
        let grid = engine.grid();
        let (d, ffn) = (dims.d_model, dims.ffn);
        let from_norm = GemmProblem::dense(grid, dims.kind, (frames, d, d));
        let stride = from_norm.c.row_stride_bytes;
        // Side by side in a row: a DMA steps 4 MiB at most, less than a window of keys of the large models takes.
        let at = |index: usize, row: usize| Region {
            offset_bytes: (3 * row + index) * stride,
            row_stride_bytes: 3 * stride,
        };
        let project = [0, 1, 2].map(|index| GemmProblem { c: at(index, first), ..from_norm });
        let joined = GemmProblem { n: 3 * stride / 2, c: at(0, first), ..from_norm };
        let attention = AttentionProblem {
            heads: dims.heads,
            frames: dims.frames,
            rows: frames,
            queries: Queries::Log2,
            q: at(0, first),
            k: at(1, 0),
            v: at(2, 0),
            out: from_norm.c,
        };
        let out = GemmProblem { a: from_norm.c, ..GemmProblem::dense(grid, GemmKind::Bf16, (frames, d, d)) };
        let fc1 = GemmProblem::dense(grid, dims.kind, (frames, d, ffn));
        let fc2 = GemmProblem { a: fc1.c, ..GemmProblem::dense(grid, GemmKind::Bf16, (frames, ffn, d)) };
        let mixed = from_norm.c_len_bytes(grid).max(out.a_len_bytes(grid));
        let hidden = fc1.c_len_bytes(grid).max(fc2.a_len_bytes(grid));
        Ok(Self {
            first,
            frames,
            input: engine.buffer(from_norm.a_len_bytes(grid), BufferRole::Input)?,
            mixed: engine.buffer(mixed, BufferRole::Scratch)?,
            hidden: engine.buffer(hidden, BufferRole::Scratch)?,
            delta: engine.buffer(out.c_len_bytes(grid), BufferRole::Output)?,
            joined,
            project,
            attention,
            out,
            fc1,
            fc2,
        })
    }
}

/// `(first frame, frames)` of each part: two of whole blocks of rows, or one if there is only one block.
fn spans(frames: usize, block_rows: usize) -> Vec<(usize, usize)> {
    let blocks = frames.div_ceil(block_rows);
    let first = blocks.div_ceil(2) * block_rows;
    if blocks < 2 { vec![(0, frames)] } else { vec![(0, first), (first, frames - first)] }
}

#[cfg(test)]
mod tests {
    use super::spans;

    #[test]
    fn a_window_is_cut_in_two_parts_of_whole_blocks() {
        assert_eq!(spans(1500, 256), [(0, 768), (768, 732)]);
        assert_eq!(spans(257, 256), [(0, 256), (256, 1)]);
        assert_eq!(spans(256, 256), [(0, 256)]);
        assert_eq!(spans(700, 256), [(0, 512), (512, 188)]);
    }
}
