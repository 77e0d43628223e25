//! Blocks on the device, a window in two parts: while the device multiplies one, the host adds, norms and converts the
//! other. Chains of one context run in the order of submission, so attention needs no wait for the other part's keys.
//!
//! ```text
//! host    norm 0 · norm 1 · · · · · · · · · add+norm 0 · · add+norm 1 · · add+norm 0 (next block) …
//! device  · · · qkv 0 ▸ qkv 1 ▸ attend 0 ▸ attend 1 ▸ feed 0 ▸ · · · feed 1 ▸ qkv 0 (next block) …
//! ```

use npu_backend::ops::Engine;
use npu_backend::schedule::{GemmKind, pack};
use npu_backend::{Batch, Result, Ticket};

use super::buffers::{BlockBuffers, BlockDims, Part};
use super::session::BlockLayers;
use super::shadow::Shadow;

/// The chains of one part of one block: launches that run without the host.
pub(super) struct PartBatches {
    /// q, k, v.
    pub(super) project: Batch,
    /// Attention, out.
    pub(super) attend: Batch,
    /// fc1, fc2.
    pub(super) feed: Batch,
}

/// Layer norm: `(rows, γ, β, normed)`.
pub(super) type Norm<'a> = &'a dyn Fn(&[f32], &[f32], &[f32], &mut [f32]);

/// γ and β of a block's norms, and the norm.
pub(super) struct Norms<'a> {
    pub(super) attn: (&'a [f32], &'a [f32]),
    pub(super) mlp: (&'a [f32], &'a [f32]),
    pub(super) apply: Norm<'a>,
}

/// Rows of a window on the host.
pub(super) struct Rows<'a> {
    /// The residual stream `[frames, d_model]`, in f32.
    pub(super) x: &'a mut [f32],
    pub(super) scratch: &'a mut Scratch,
}

/// Memory of the host's half, kept between windows.
#[derive(Default)]
pub(super) struct Scratch {
    normed: Vec<f32>,
    /// Rows as they entered the blocks under way: the even one and the odd one, because one part may be a block ahead of
    /// the other.
    entered: [Vec<f32>; 2],
}

impl Scratch {
    /// Keeps all rows as they enter block `index`.
    pub(super) fn enter(&mut self, index: usize, x: &[f32]) {
        let kept = &mut self.entered[index % 2];
        kept.clear();
        kept.extend_from_slice(x);
        self.entered[(index + 1) % 2].resize(x.len(), 0.0);
    }

    /// The rows as they entered block `index`.
    pub(super) fn entered(&self, index: usize) -> &[f32] {
        &self.entered[index % 2]
    }
}

/// Where the pipeline stands: the rows of a window, and what the device is doing.
pub(super) struct Flight<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) buffers: &'a BlockBuffers,
    pub(super) dims: BlockDims,
    x: &'a mut [f32],
    scratch: &'a mut Scratch,
    /// Unfinished, oldest first.
    tickets: Vec<Ticket>,
}

impl<'a> Flight<'a> {
    pub(super) fn new(
        engine: &'a mut Engine,
        buffers: &'a BlockBuffers,
        dims: BlockDims,
        rows: &'a mut Rows<'_>,
    ) -> Self {
        Self { engine, buffers, dims, x: rows.x, scratch: rows.scratch, tickets: Vec::with_capacity(4) }
    }

    /// Norm of a part's rows, onto the device.
    pub(super) fn norm(&mut self, part: usize, norms: &Norms<'_>, of: (&[f32], &[f32])) -> Result<()> {
        let part = &self.buffers.parts[part];
        let d = self.dims.d_model;
        let rows = &self.x[part.first * d..(part.first + part.frames) * d];
        let normed = &mut self.scratch.normed;
        normed.resize(rows.len(), 0.0);
        (norms.apply)(rows, of.0, of.1, normed);
        let (kind, stride) = (self.dims.kind, part.fc1.a.row_stride_bytes);
        self.engine.write(part.input.id(), 0..part.frames * stride, |bytes| match kind {
            GemmKind::Bf16 => pack::rows_to_bf16(normed, d, bytes, stride),
            _ => pack::rows_to_int8(normed, d, stride - kind.row_tail_bytes(), bytes, stride),
        })?;
        // Rows are read, written normed, read again and written narrow.
        self.engine.host_works(rows.len() * 4 * 3 + part.frames * stride);
        Ok(())
    }

    /// x ← x + what a part's chain ended with: the sum stays in f32.
    pub(super) fn add(&mut self, part: usize) -> Result<()> {
        let part: &Part = &self.buffers.parts[part];
        let (d, stride) = (self.dims.d_model, part.out.c.row_stride_bytes);
        let rows = &mut self.x[part.first * d..(part.first + part.frames) * d];
        let bytes = rows.len() * 4 * 2 + part.frames * stride;
        self.engine.read(part.delta.id(), 0..part.frames * stride, |bytes| {
            pack::add_rows_from_bf16(bytes, stride, d, rows);
        })?;
        self.engine.host_works(bytes);
        Ok(())
    }

    pub(super) fn submit(&mut self, batch: &Batch) -> Result<()> {
        let ticket = self.engine.submit(batch)?;
        self.tickets.push(ticket);
        Ok(())
    }

    /// Waits for the oldest chain.
    pub(super) fn wait(&mut self) -> Result<()> {
        if self.tickets.is_empty() {
            return Ok(());
        }
        let oldest = self.tickets.remove(0);
        self.engine.wait(oldest)
    }

    /// Waits for whatever is under way, however it ends: its buffers are free then.
    pub(super) fn drain(&mut self) {
        for ticket in std::mem::take(&mut self.tickets) {
            let _ = self.engine.wait(ticket);
        }
    }
}

/// One block, in the pipeline.
pub(super) struct Step<'a> {
    pub(super) index: usize,
    pub(super) batches: &'a [PartBatches],
    pub(super) layers: &'a BlockLayers<'a>,
    pub(super) norms: &'a Norms<'a>,
    /// The block after it.
    pub(super) next: Option<(&'a Vec<PartBatches>, &'a Norms<'a>)>,
}

impl Step<'_> {
    /// Begins with this block: its first norm and projections.
    pub(super) fn enter(&self, flight: &mut Flight<'_>) -> Result<()> {
        for (part, batches) in self.batches.iter().enumerate() {
            begin(flight, self.index, part, batches, self.norms)?;
        }
        Ok(())
    }

    /// The rest of this block, and the beginning of the next.
    pub(super) fn run(&self, flight: &mut Flight<'_>, shadow: &mut Shadow) -> Result<()> {
        let last = self.batches.len() - 1;
        for batches in self.batches {
            flight.submit(&batches.attend)?;
        }
        // The projections, which are done before the first of them.
        for _ in self.batches {
            flight.wait()?;
        }
        for (part, batches) in self.batches.iter().enumerate() {
            flight.wait()?;
            flight.add(part)?;
            if part == last {
                // Nothing else uses the queries, keys and values now, and the rows they came from still stand.
                let (qkv, part) = (flight.buffers.qkv.id(), &flight.buffers.parts[part]);
                shadow.after_attend(flight.engine, qkv, part, flight.dims, self.layers)?;
            }
            flight.norm(part, self.norms, self.norms.mlp)?;
            flight.submit(&batches.feed)?;
        }
        for part in 0..self.batches.len() {
            flight.wait()?;
            flight.add(part)?;
            if part == last {
                shadow.after_feed(flight.engine, &flight.buffers.parts[part], self.layers)?;
            }
            if let Some((batches, norms)) = self.next {
                begin(flight, self.index + 1, part, &batches[part], norms)?;
            }
        }
        Ok(())
    }
}

/// A part enters block `index`: its rows are kept, normed and projected.
fn begin(
    flight: &mut Flight<'_>,
    index: usize,
    part: usize,
    batches: &PartBatches,
    norms: &Norms<'_>,
) -> Result<()> {
    let (d, span) = (flight.dims.d_model, &flight.buffers.parts[part]);
    let rows = span.first * d..(span.first + span.frames) * d;
    flight.scratch.entered[index % 2][rows.clone()].copy_from_slice(&flight.x[rows]);
    flight.norm(part, norms, norms.attn)?;
    flight.submit(&batches.project)
}
