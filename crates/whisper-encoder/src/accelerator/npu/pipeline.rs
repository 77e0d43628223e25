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
use super::linear::Packing;
use super::session::BlockLayers;
use super::shadow::{Shadow, Source, Watched};

/// The chains of one part of one block: launches that run without the host.
pub(super) struct PartBatches {
    /// q, k and v.
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
        self.engine.write(part.input.id(), 0..part.frames * stride, |bytes| {
            write_rows(kind, normed, d, bytes, stride);
        })?;
        // Rows come from memory and go there narrow; between, a row stays in the caches.
        self.engine.host_works(rows.len() * 4 + part.frames * stride);
        Ok(())
    }

    /// x ← x + what a part's chain ended with: the sum stays in f32.
    pub(super) fn add(&mut self, part: usize) -> Result<()> {
        let part: &Part = &self.buffers.parts[part];
        let (d, stride) = (self.dims.d_model, part.out.c.row_stride_bytes);
        let rows = &mut self.x[part.first * d..(part.first + part.frames) * d];
        // As with the norm, which reads the sums next.
        let bytes = rows.len() * 4 + part.frames * stride;
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

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        // Whatever ended the flight early, a panic too: nothing may stay busy.
        self.drain();
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
            self.check_out(flight, shadow, part)?;
            if part == last {
                // Nothing uses the queries, keys and values of any part now.
                (0..=last).try_for_each(|part| self.check_attention(flight, shadow, part))?;
            }
            flight.add(part)?;
            flight.norm(part, self.norms, self.norms.mlp)?;
            flight.submit(&batches.feed)?;
        }
        for part in 0..self.batches.len() {
            flight.wait()?;
            self.check_feed(flight, shadow, part)?;
            flight.add(part)?;
            if let Some((batches, norms)) = self.next {
                begin(flight, self.index + 1, part, &batches[part], norms)?;
            }
        }
        Ok(())
    }

    fn check_out(&self, flight: &mut Flight<'_>, shadow: &mut Shadow, part: usize) -> Result<()> {
        let part = &flight.buffers.parts[part];
        let (layer, packing, problem) = (self.layers.out, Packing::plain(part.out.kind, false), &part.out);
        let (from, to) = (Source::Buffer(part.mixed.id()), part.delta.id());
        shadow.product(flight.engine, &Watched { name: "out", layer, packing, problem, from, to })
    }

    fn check_attention(&self, flight: &mut Flight<'_>, shadow: &mut Shadow, part: usize) -> Result<()> {
        let part = &flight.buffers.parts[part];
        let (d, dims, qkv) = (flight.dims.d_model, flight.dims, flight.buffers.qkv.id());
        // The rows that were pushed are overwritten by now; they are made again from what entered the block.
        let entered = flight.scratch.entered(self.index);
        let row = |m: usize| {
            let row = &entered[(part.first + m) * d..(part.first + m + 1) * d];
            let mut normed = vec![0.0; d];
            (self.norms.apply)(row, self.norms.attn.0, self.norms.attn.1, &mut normed);
            let mut bytes = vec![0; part.fc1.a.row_stride_bytes];
            write_rows(dims.kind, &normed, d, &mut bytes, part.fc1.a.row_stride_bytes);
            bytes
        };
        for (index, name) in ["query", "key", "value"].into_iter().enumerate() {
            let (layer, problem) = (self.layers.project[index], &part.project[index]);
            let packing = projection(dims.kind, index);
            let watched = Watched { name, layer, packing, problem, from: Source::Host(&row), to: qkv };
            shadow.product(flight.engine, &watched)?;
        }
        shadow.attention(flight.engine, &part.attention, (qkv, part.mixed.id()))
    }

    fn check_feed(&self, flight: &mut Flight<'_>, shadow: &mut Shadow, part: usize) -> Result<()> {
        let part = &flight.buffers.parts[part];
        let (layer, packing, problem) = (self.layers.fc1, Packing::plain(part.fc1.kind, true), &part.fc1);
        let (from, to) = (Source::Buffer(part.input.id()), part.hidden.id());
        shadow.product(flight.engine, &Watched { name: "fc1", layer, packing, problem, from, to })?;
        let (layer, packing, problem) = (self.layers.fc2, Packing::plain(part.fc2.kind, false), &part.fc2);
        let (from, to) = (Source::Buffer(part.hidden.id()), part.delta.id());
        shadow.product(flight.engine, &Watched { name: "fc2", layer, packing, problem, from, to })
    }
}

/// How query (0), key (1) and value (2) are packed: queries so that scores come out as exponents of two.
pub(super) fn projection(kind: GemmKind, index: usize) -> Packing {
    Packing { queries: index == 0, ..Packing::plain(kind, false) }
}

/// Rows as a part's first products take them.
fn write_rows(kind: GemmKind, rows: &[f32], columns: usize, bytes: &mut [u8], stride: usize) {
    match kind {
        GemmKind::Bf16 => pack::rows_to_bf16(rows, columns, bytes, stride),
        _ => pack::rows_to_int8(rows, columns, stride - kind.row_tail_bytes(), bytes, stride),
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
