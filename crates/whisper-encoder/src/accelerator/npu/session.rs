//! One device at work: buffers, resident weights and launches, made once; blocks, the stem and single operations.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use npu_backend::ops::Engine;
use npu_backend::schedule::pack;
use npu_backend::schedule::{GemmKind, GemmProblem, Region};
use npu_backend::{Batch, Buffer, BufferId, BufferRole, Error, Result};

use super::buffers::{BlockBuffers, BlockDims};
use super::linear::{NpuLinear, Packing, Residents};
use super::pipeline::{Flight, Norms, PartBatches, Rows, Step, projection};
use super::shadow::{Shadow, Source, Watched};
use crate::CancelToken;

/// The linear layers of a block.
pub(super) struct BlockLayers<'a> {
    /// Query, key, value.
    pub(super) project: [&'a NpuLinear; 3],
    pub(super) out: &'a NpuLinear,
    pub(super) fc1: &'a NpuLinear,
    pub(super) fc2: &'a NpuLinear,
}

struct StemBuffers {
    mel: Buffer,
    middle: Buffer,
    out: Buffer,
    first: (GemmProblem, Packing),
    second: (GemmProblem, Packing),
    batch: Batch,
    mel_stride: usize,
    out_stride: usize,
}

/// An open device and everything on it.
pub(super) struct Session {
    pub(super) engine: Engine,
    residents: Residents,
    blocks: HashMap<BlockDims, BlockBuffers>,
    /// Of each block, by its `out` layer: the chains of each part.
    batches: HashMap<(BlockDims, u64), Vec<PartBatches>>,
    stems: HashMap<u64, StemBuffers>,
    /// What could not be prepared, by the id of its first or last layer, so that it is not tried at every window.
    refused: HashMap<u64, Error>,
    pub(super) shadow: Shadow,
}

impl Session {
    pub(super) fn new(engine: Engine, shadow: Shadow) -> Self {
        Self {
            engine,
            residents: Residents::default(),
            blocks: HashMap::new(),
            batches: HashMap::new(),
            stems: HashMap::new(),
            refused: HashMap::new(),
            shadow,
        }
    }

    /// Runs blocks `from..` over `rows.x` `[frames, d_model]`, until `cancel` is set. On an error it says in which block;
    /// the scratch then holds the rows as they entered it.
    pub(super) fn blocks(
        &mut self,
        dims: BlockDims,
        blocks: &[(BlockLayers<'_>, Norms<'_>)],
        from: usize,
        rows: &mut Rows<'_>,
        cancel: &CancelToken,
    ) -> std::result::Result<(), (usize, Error)> {
        for (layers, _) in &blocks[from..] {
            self.prepare(dims, layers).map_err(|error| (from, error))?;
        }
        let unprepared = || Error::Shape { why: "a block was not prepared".into() };
        let Some(buffers) = self.blocks.get(&dims) else { return Err((from, unprepared())) };
        let mut flight = Flight::new(&mut self.engine, buffers, dims, rows);
        for (index, (layers, norms)) in blocks.iter().enumerate().skip(from) {
            if cancel.is_cancelled() {
                flight.drain();
                return Ok(());
            }
            let Some(batches) = self.batches.get(&(dims, layers.out.id)) else {
                return Err((index, unprepared()));
            };
            let next = blocks.get(index + 1);
            let next =
                next.and_then(|(layers, norms)| Some((self.batches.get(&(dims, layers.out.id))?, norms)));
            let step = Step { index, batches, layers, norms, next };
            let entered = if index == from { step.enter(&mut flight) } else { Ok(()) };
            if let Err(error) = entered.and_then(|()| step.run(&mut flight, &mut self.shadow)) {
                flight.drain();
                return Err((index, error));
            }
        }
        Ok(())
    }

    /// Buffers and launches of a block: made at its first window, used by every later one.
    fn prepare(&mut self, dims: BlockDims, layers: &BlockLayers<'_>) -> Result<()> {
        if self.batches.contains_key(&(dims, layers.out.id)) {
            return Ok(());
        }
        if let Some(refused) = self.refused.get(&layers.out.id) {
            return Err(refused.clone());
        }
        self.prepare_block(dims, layers).inspect_err(|error| {
            self.refused.insert(layers.out.id, error.clone());
        })
    }

    fn prepare_block(&mut self, dims: BlockDims, layers: &BlockLayers<'_>) -> Result<()> {
        let (engine, residents) = (&mut self.engine, &mut self.residents);
        let buffers = match self.blocks.entry(dims) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => free.insert(BlockBuffers::new(engine, dims)?),
        };
        let (qkv, params) = (buffers.qkv.id(), buffers.params.id());
        let plain = Packing::plain(GemmKind::Bf16, false);
        let mut batches = Vec::with_capacity(buffers.parts.len());
        for part in &buffers.parts {
            let (input, mixed) = (part.input.id(), part.mixed.id());
            let (hidden, delta) = (part.hidden.id(), part.delta.id());
            let packings = [0, 1, 2].map(|index| projection(dims.kind, index));
            let weights = residents.joined(engine, layers.project, packings, part.joined.n / 3)?;
            let project = vec![engine.gemm(&part.joined, input, weights, qkv, None)?];
            let attention = engine.attention(&part.attention, qkv, params, mixed)?;
            let weights = residents.get(engine, layers.out, plain)?;
            let out = engine.gemm(&part.out, mixed, weights, delta, None)?;
            let weights = residents.get(engine, layers.fc1, Packing::plain(dims.kind, true))?;
            let fc1 = engine.gemm(&part.fc1, input, weights, hidden, None)?;
            let weights = residents.get(engine, layers.fc2, plain)?;
            let fc2 = engine.gemm(&part.fc2, hidden, weights, delta, None)?;
            batches.push(PartBatches {
                project: Batch::new(project)?,
                attend: Batch::new(vec![attention, out])?,
                feed: Batch::new(vec![fc1, fc2])?,
            });
        }
        self.batches.insert((dims, layers.out.id), batches);
        Ok(())
    }

    /// GELU(conv2(GELU(conv1(mel)))): `mel` `[2 × frames, n_mels]` ▸ `out` `[frames, d_model]`.
    ///
    /// Neither convolution needs its neighbours copied side by side: three successive rows are one longer row, of a
    /// view whose rows overlap.
    pub(super) fn stem(
        &mut self,
        conv1: &NpuLinear,
        conv2: &NpuLinear,
        mel: &[f32],
        n_mels: usize,
        out: &mut [f32],
    ) -> Result<()> {
        let frames = mel.len() / n_mels;
        if let Some(refused) = self.refused.get(&conv1.id) {
            return Err(refused.clone());
        }
        if !self.stems.contains_key(&conv1.id) {
            let stem = self.prepare_stem(conv1, conv2, frames, n_mels);
            let stem = stem.inspect_err(|error| {
                self.refused.insert(conv1.id, error.clone());
            })?;
            self.stems.insert(conv1.id, stem);
        }
        let stem = &self.stems[&conv1.id];
        let (stride, first) = (stem.mel_stride, stem.mel_stride);
        self.engine.write(stem.mel.id(), first..first + frames * stride, |bytes| {
            pack::rows_to_bf16(mel, n_mels, bytes, stride);
        })?;
        self.engine.run(&stem.batch)?;
        let (d, stride) = (conv2.weight.rows(), stem.out_stride);
        self.engine.read(stem.out.id(), 0..out.len() / d * stride, |bytes| {
            pack::rows_from_bf16(bytes, stride, d, out);
        })?;
        let (mel, middle, out) = (stem.mel.id(), stem.middle.id(), stem.out.id());
        for (name, layer, (problem, packing), from, to) in
            [("conv1", conv1, &stem.first, mel, middle), ("conv2", conv2, &stem.second, middle, out)]
        {
            let from = Source::Buffer(from);
            let watched = Watched { name, layer, packing: *packing, problem, from, to };
            self.shadow.product(&mut self.engine, &watched)?;
        }
        Ok(())
    }

    fn prepare_stem(
        &mut self,
        conv1: &NpuLinear,
        conv2: &NpuLinear,
        frames: usize,
        n_mels: usize,
    ) -> Result<StemBuffers> {
        let (engine, d) = (&mut self.engine, conv1.weight.rows());
        let grid = engine.grid();
        let mut first = GemmProblem::dense(grid, GemmKind::Bf16, (frames, conv1.weight.cols(), d));
        // Row t is frames t − 1, t, t + 1; a row of zeros stands before the first frame, zeros behind the last.
        let mel_stride = 2 * n_mels;
        first.a = Region { offset_bytes: 0, row_stride_bytes: mel_stride };
        let row = first.c.row_stride_bytes;
        first.c.offset_bytes = row;
        let packing = Packing { spread: Some((3, d, row / 2)), ..Packing::plain(GemmKind::Bf16, true) };
        let mut second = GemmProblem::dense(
            grid,
            GemmKind::Bf16,
            (frames / 2, packing.inputs(conv2), conv2.weight.rows()),
        );
        second.a = Region { offset_bytes: 0, row_stride_bytes: 2 * row };
        let mel = engine.buffer(first.a_len_bytes(grid), BufferRole::Input)?;
        let middle =
            engine.buffer(first.c_len_bytes(grid).max(second.a_len_bytes(grid)), BufferRole::Scratch)?;
        let out = engine.buffer(second.c_len_bytes(grid), BufferRole::Output)?;
        let weights = self.residents.get(engine, conv1, Packing::plain(GemmKind::Bf16, true))?;
        let launch1 = engine.gemm(&first, mel.id(), weights, middle.id(), None)?;
        let weights = self.residents.get(engine, conv2, packing)?;
        let launch2 = engine.gemm(&second, middle.id(), weights, out.id(), None)?;
        let batch = Batch::new(vec![launch1, launch2])?;
        Ok(StemBuffers {
            mel,
            middle,
            out,
            batch,
            mel_stride,
            out_stride: second.c.row_stride_bytes,
            first: (first, Packing::plain(GemmKind::Bf16, true)),
            second: (second, packing),
        })
    }

    /// One product by itself: `x` `[rows, k]` ▸ `y` `[rows, n]`.
    pub(super) fn linear(
        &mut self,
        layer: &NpuLinear,
        kind: GemmKind,
        gelu: bool,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<()> {
        let (k, n) = (layer.weight.cols(), layer.weight.rows());
        let grid = self.engine.grid();
        let problem = GemmProblem::dense(grid, kind, (x.len() / k, k, n));
        let wants =
            [(problem.a_len_bytes(grid), BufferRole::Input), (problem.c_len_bytes(grid), BufferRole::Output)];
        self.lent(wants, |session, [input, output]| {
            session.one_product(layer, &problem, gelu, (input, output), x, y)
        })
    }

    /// Lends buffers, all zeros, for one piece of work.
    fn lent<const N: usize>(
        &mut self,
        wants: [(usize, BufferRole); N],
        work: impl FnOnce(&mut Self, [BufferId; N]) -> Result<()>,
    ) -> Result<()> {
        let (mut buffers, mut ids) = (Vec::with_capacity(N), [BufferId(0); N]);
        let made = wants.iter().zip(&mut ids).try_for_each(|(&(len_bytes, role), id)| {
            let buffer = self.engine.buffer(len_bytes, role)?;
            *id = buffer.id();
            buffers.push(buffer);
            Ok(())
        });
        let done = made.and_then(|()| work(self, ids));
        buffers.into_iter().fold(done, |done, buffer| done.and(self.engine.free(buffer)))
    }

    fn one_product(
        &mut self,
        layer: &NpuLinear,
        problem: &npu_backend::schedule::GemmProblem,
        gelu: bool,
        (input, output): (BufferId, BufferId),
        x: &[f32],
        y: &mut [f32],
    ) -> Result<()> {
        let weights = self.residents.get(&mut self.engine, layer, Packing::plain(problem.kind, gelu))?;
        let launch = self.engine.gemm(problem, input, weights, output, None)?;
        let (stride, rows) = (problem.a.row_stride_bytes, x.len() / problem.k);
        self.engine.write(input, 0..rows * stride, |bytes| match problem.kind {
            GemmKind::Bf16 => pack::rows_to_bf16(x, problem.k, bytes, stride),
            _ => pack::rows_to_int8(x, problem.k, stride - problem.kind.row_tail_bytes(), bytes, stride),
        })?;
        self.engine.run(&Batch::new(vec![launch])?)?;
        let stride = problem.c.row_stride_bytes;
        self.engine.read(output, 0..rows * stride, |bytes| {
            pack::rows_from_bf16(bytes, stride, problem.n, y);
        })?;
        let (packing, from) = (Packing::plain(problem.kind, gelu), Source::Buffer(input));
        let watched = Watched { name: "linear", layer, packing, problem, from, to: output };
        self.shadow.product(&mut self.engine, &watched)
    }

    /// Attention by itself: three `[frames, heads × 64]` ▸ `out`.
    pub(super) fn attention(&mut self, [q, k, v]: [&[f32]; 3], heads: usize, out: &mut [f32]) -> Result<()> {
        let d = heads * npu_backend::schedule::attention::HEAD_DIM;
        let dims = BlockDims { frames: q.len() / d, d_model: d, ffn: d, heads, kind: GemmKind::Bf16 };
        let grid = self.engine.grid();
        let region = GemmProblem::dense(grid, GemmKind::Bf16, (dims.frames, d, d));
        let (part, stride) = (region.c_len_bytes(grid), region.c.row_stride_bytes);
        let at = |index: usize| Region { offset_bytes: index * stride, row_stride_bytes: 3 * stride };
        let problem = npu_backend::schedule::AttentionProblem {
            heads,
            frames: dims.frames,
            rows: dims.frames,
            queries: npu_backend::schedule::Queries::Plain,
            q: at(0),
            k: at(1),
            v: at(2),
            out: region.c,
        };
        let params = problem.params(grid);
        let wants =
            [(3 * part, BufferRole::Input), (params.len(), BufferRole::Weight), (part, BufferRole::Output)];
        self.lent(wants, |session, [input, words, output]| {
            let launch = session.engine.attention(&problem, input, words, output)?;
            session.engine.write(words, 0..params.len(), |bytes| bytes.copy_from_slice(&params))?;
            session.engine.write(input, 0..3 * part, |bytes| {
                for (index, values) in [q, k, v].into_iter().enumerate() {
                    pack::rows_to_bf16(values, d, &mut bytes[index * stride..], 3 * stride);
                }
            })?;
            session.engine.run(&Batch::new(vec![launch])?)?;
            session.engine.read(output, 0..dims.frames * stride, |bytes| {
                pack::rows_from_bf16(bytes, stride, d, out);
            })?;
            session.shadow.attention(&mut session.engine, &problem, (input, output))
        })
    }
}
