//! The NPU behind candle tensors: whole blocks as chains of launches, layer norm and the residual sum on the host in
//! f32, and the CPU for whatever the device will not do, counted and with its reason.
//!
//! Why the norm stays on the host: between two chains the host holds 1.5 MB that it must add in f32 anyway, and a launch
//! costs about as much as the whole norm.

mod buffers;
mod linear;
mod pipeline;
mod receipt;
mod session;
mod shadow;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{Device, Tensor};
use cpu_backend::{Context, Storage};
use npu_backend::ops::Engine;
use npu_backend::schedule::GemmKind;

pub use receipt::Receipt;

use self::buffers::BlockDims;
use self::linear::NpuLinear;
use self::pipeline::{Norm, Norms, Rows, Scratch};
use self::session::{BlockLayers, Session};
use self::shadow::Shadow;
use super::{Accelerator, BlockParts, CpuAccelerator, Epilogue, Keep, LAYER_NORM_EPS, Prepared};
use crate::checkpoint::Weight;
use crate::config::HEAD_DIM;
use crate::{CancelToken, Error, Result};

/// Failures in a row after which the device is left alone: each may take the two seconds of AMD's driver, or the sixty of
/// Linux's own.
const PATIENCE: u32 = 3;

/// Types that the device multiplies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NpuPrecision {
    /// bf16, summed in f32.
    #[default]
    Bf16,
    /// int8 with a scale for each frame and each output where the input comes from a layer norm; bf16 elsewhere, where
    /// quantising would cost another way through memory.
    Int8,
}

/// How the device is used. Its types follow [`Precision`](crate::Precision).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NpuOptions {
    /// An operation that the device does not do is an error, not a fallback.
    pub require: bool,
    /// A sample of the output of every so many products and attentions is computed again on the CPU and compared; 0 for
    /// never.
    ///
    /// The sample is 2 rows × 16 neighbouring columns of a product, one row of one head of an attention, elsewhere each
    /// time. With 1 no launch goes unnoticed whose **whole** output is zeros, old numbers or nonsense. A launch that is
    /// wrong in a part is seen only if the sample meets that part: a product with a quarter of its columns stale, about one
    /// time in three (never less than one in four).
    pub shadow_every: u64,
}

impl Default for NpuOptions {
    fn default() -> Self {
        Self { require: false, shadow_every: 1 }
    }
}

/// Computes on one NPU, or on its emulator.
pub struct NpuAccelerator {
    /// Apart from rayon: `state` is locked while it norms, and a rayon thread that waited would take up another window,
    /// which wants the same lock.
    cpu: CpuAccelerator,
    precision: NpuPrecision,
    options: NpuOptions,
    ids: AtomicU64,
    state: Mutex<State>,
}

struct State {
    session: Session,
    receipt: Receipt,
    /// Why the device is not used any more.
    quarantine: Option<String>,
    failures: u32,
    /// Rows between host and device, kept for their memory.
    scratch: Scratch,
}

impl NpuAccelerator {
    /// An accelerator on `engine` that multiplies in `precision`. What it does not do is done in f32 at the level of
    /// `cpu` and on its threads; on as many of its own where those are a rayon pool's.
    ///
    /// # Errors
    /// [`Error::Device`] if the system refuses to start the threads.
    pub fn new(engine: Engine, cpu: Context, precision: NpuPrecision, options: NpuOptions) -> Result<Self> {
        let cpu = cpu.with_f32_activations().apart_from_rayon().map_err(|error| Error::no_threads(&error))?;
        let cpu = CpuAccelerator::new(cpu, Keep::All(Storage::F32));
        let receipt = Receipt {
            device: engine.info().name.clone(),
            modelled: engine.info().modelled,
            ..Receipt::default()
        };
        let session = Session::new(engine, Shadow::new(options.shadow_every));
        let (quarantine, scratch) = (None, Scratch::default());
        let state = State { session, receipt, quarantine, failures: 0, scratch };
        Ok(Self { cpu, precision, options, ids: AtomicU64::new(0), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves counters at worst: a flight waits for its tickets as it is dropped.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The types of products whose input comes from a layer norm, in whole blocks. Single products are in bf16.
    fn kind(&self) -> GemmKind {
        match self.precision {
            NpuPrecision::Bf16 => GemmKind::Bf16,
            NpuPrecision::Int8 => GemmKind::Int8Bf16,
        }
    }

    /// Runs `work` on the device. `None` if the CPU has to do it; [`Error::Distrusted`] if the window has to begin again.
    fn attempt(
        &self,
        what: &str,
        state: &mut State,
        work: impl FnOnce(&mut Session) -> npu_backend::Result<()>,
    ) -> Result<Option<()>> {
        let mut distrusted = false;
        let refused = match &state.quarantine {
            Some(reason) => reason.clone(),
            None => {
                let done = work(&mut state.session);
                // First of all: what was wrong before an error is wrong still.
                if let Some(mismatch) = state.session.shadow.mismatch.take() {
                    distrusted = true;
                    let reason = format!("the shadow check found wrong numbers: {mismatch}");
                    state.quarantine.insert(reason).clone()
                } else if let Err(error) = done {
                    // What the device never began took none of its time.
                    let lost = matches!(error, npu_backend::Error::DeviceLost { .. });
                    state.failures += u32::from(lost || matches!(error, npu_backend::Error::Launch { .. }));
                    let reason = brief(&error);
                    if lost || state.failures >= PATIENCE {
                        state.quarantine =
                            Some(format!("{reason} (given up after {} failures)", state.failures));
                    }
                    reason
                } else {
                    state.failures = 0;
                    return Ok(Some(()));
                }
            }
        };
        if self.options.require {
            return Err(Error::Fault {
                device: state.receipt.device.clone(),
                reason: format!("{what}: {refused}"),
            });
        }
        *state.receipt.fallbacks.entry(format!("{what}: {refused}")).or_insert(0) += 1;
        if distrusted {
            return Err(Error::Distrusted { device: state.receipt.device.clone(), reason: refused });
        }
        Ok(None)
    }
}

impl Accelerator for NpuAccelerator {
    fn name(&self) -> &'static str {
        "npu"
    }

    fn prepare(&self, weight: &Weight, bias: Option<&[f32]>) -> Result<Prepared> {
        if bias.is_some_and(|bias| bias.len() != weight.rows()) {
            return Err(Error::Shape(format!("the bias does not have {} elements", weight.rows())));
        }
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let layer = NpuLinear::new(id, weight.clone(), bias.map(<[f32]>::to_vec));
        Ok(Prepared::new(weight.rows(), weight.cols(), layer))
    }

    fn linear(&self, x: &Tensor, weight: &Prepared, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let layer: &NpuLinear = weight.payload()?;
        let (frames, inputs) = x.dims2()?;
        if inputs != weight.inputs {
            return Err(Error::Shape(format!("a layer of {} inputs was given {inputs}", weight.inputs)));
        }
        let (rows, mut y) = (values(x)?, vec![0.0; frames * weight.outputs]);
        let gelu = matches!(epilogue, Epilogue::Gelu);
        let flop = 2.0 * count(frames * weight.outputs) * count(inputs);
        let mut state = self.state();
        let done = self.attempt("linear", &mut state, |session| {
            session.linear(layer, GemmKind::Bf16, gelu, &rows, &mut y)
        })?;
        state.receipt.count(flop, done);
        drop(state);
        if done.is_none() {
            return self.cpu.linear(x, layer.on_cpu(&self.cpu)?, epilogue);
        }
        let y = Tensor::from_vec(y, (frames, weight.outputs), &Device::Cpu)?;
        match epilogue {
            Epilogue::Residual(residual) => Ok((residual + y)?),
            Epilogue::None | Epilogue::Gelu => Ok(y),
        }
    }

    fn attention(&self, q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
        let (frames, d_model) = q.dims2()?;
        if d_model != heads * HEAD_DIM || k.dims() != q.dims() || v.dims() != q.dims() {
            return Err(Error::Shape(format!(
                "{heads} heads of {HEAD_DIM} over {:?}, {:?}",
                q.dims(),
                k.dims()
            )));
        }
        let (qkv, mut out) = ([values(q)?, values(k)?, values(v)?], vec![0.0; frames * d_model]);
        let flop = 4.0 * count(frames * frames) * count(d_model);
        let mut state = self.state();
        let done = self.attempt("attention", &mut state, |session| {
            session.attention([&qkv[0], &qkv[1], &qkv[2]], heads, &mut out)
        })?;
        state.receipt.count(flop, done);
        drop(state);
        match done {
            Some(()) => Ok(Tensor::from_vec(out, (frames, d_model), &Device::Cpu)?),
            None => self.cpu.attention(q, k, v, heads),
        }
    }

    fn layer_norm(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        self.cpu.layer_norm(x, weight, bias)
    }

    fn stem(&self, mel: &Tensor, conv1: &Prepared, conv2: &Prepared) -> Result<Option<Tensor>> {
        let (frames, n_mels) = mel.dims2()?;
        let (first, second): (&NpuLinear, &NpuLinear) = (conv1.payload()?, conv2.payload()?);
        let (rows, mut out) = (values(mel)?, vec![0.0; frames / 2 * conv2.outputs]);
        let flop = 2.0 * count(frames * conv1.inputs) * count(conv1.outputs)
            + count(frames * conv2.inputs) * count(conv2.outputs);
        let mut state = self.state();
        let done =
            self.attempt("stem", &mut state, |session| session.stem(first, second, &rows, n_mels, &mut out))?;
        match done {
            Some(()) => {
                state.receipt.device_flop += flop;
                Ok(Some(Tensor::from_vec(out, (frames / 2, conv2.outputs), &Device::Cpu)?))
            }
            // The encoder then asks for each convolution as a product, and those may fall back one by one.
            None => Ok(None),
        }
    }

    fn blocks(&self, x: &Tensor, blocks: &[BlockParts<'_>], cancel: &CancelToken) -> Result<Option<Tensor>> {
        let (frames, d_model) = x.dims2()?;
        let Some(first) = blocks.first() else { return Ok(None) };
        let (ffn, heads) = (first.fc1.outputs, first.heads);
        let dims = BlockDims { frames, d_model, ffn, heads, kind: self.kind() };
        let flop = 8.0 * count(frames * d_model) * count(d_model)
            + 4.0 * count(frames * frames) * count(d_model)
            + 4.0 * count(frames * d_model) * count(ffn);
        let apply = |rows: &[f32], gamma: &[f32], beta: &[f32], normed: &mut [f32]| {
            cpu_backend::layer_norm(self.cpu.context(), rows, gamma, beta, LAYER_NORM_EPS, normed);
        };
        let gains = blocks.iter().map(Gains::of).collect::<Result<Vec<_>>>()?;
        let layers = blocks.iter().zip(&gains);
        let layers = layers.map(|(parts, gains)| Ok((layers_of(parts)?, gains.norms(&apply))));
        let layers = layers.collect::<Result<Vec<_>>>()?;

        let (mut sum, mut from) = (values(x)?, 0);
        let mut state = self.state();
        let mut scratch = std::mem::take(&mut state.scratch);
        while from < layers.len() {
            cancel.check()?;
            scratch.enter(from, &sum);
            // Where it stops, if it does: at once, unless the session says otherwise.
            let mut stop = from;
            let done = self.attempt("block", &mut state, |session| {
                let mut rows = Rows { x: &mut sum, scratch: &mut scratch };
                session.blocks(dims, &layers, from, &mut rows, cancel).map_err(|(index, error)| {
                    stop = index;
                    error
                })
            })?;
            if done.is_some() {
                state.receipt.device_flop += flop * count(layers.len() - from);
                break;
            }
            // The device did the blocks before the one that failed; that one is done again from the rows that entered
            // it, on the CPU, and the device goes on after it.
            state.receipt.device_flop += flop * count(stop - from);
            state.receipt.cpu_flop += flop;
            // Another window may have the device meanwhile.
            drop(state);
            let x = Tensor::from_slice(scratch.entered(stop), (frames, d_model), &Device::Cpu)?;
            sum = self.block_on_cpu(&x, &layers[stop].0, &blocks[stop])?;
            state = self.state();
            from = stop + 1;
        }
        state.scratch = scratch;
        // A cancelled session stops early and well.
        cancel.check()?;
        Ok(Some(Tensor::from_vec(sum, (frames, d_model), &Device::Cpu)?))
    }

    fn window_done(&self, again: bool) {
        let receipt = &mut self.state().receipt;
        receipt.windows += 1;
        receipt.windows_redone += u64::from(again);
    }

    fn receipt(&self) -> Option<Receipt> {
        let state = self.state();
        let mut receipt = state.receipt.clone();
        receipt.shadow_checks = state.session.shadow.checks;
        receipt.counters = state.session.engine.device().counters();
        Some(receipt)
    }
}

impl NpuAccelerator {
    fn block_on_cpu(&self, x: &Tensor, layers: &BlockLayers<'_>, parts: &BlockParts<'_>) -> Result<Vec<f32>> {
        let cpu = &self.cpu;
        let h = cpu.layer_norm(x, parts.attn_ln.0, parts.attn_ln.1)?;
        let [q, k, v] = layers.project.map(|layer| cpu.linear(&h, layer.on_cpu(cpu)?, Epilogue::None));
        let mixed = cpu.attention(&q?, &k?, &v?, parts.heads)?;
        let x = cpu.linear(&mixed, layers.out.on_cpu(cpu)?, Epilogue::Residual(x))?;
        let h = cpu.layer_norm(&x, parts.mlp_ln.0, parts.mlp_ln.1)?;
        let hidden = cpu.linear(&h, layers.fc1.on_cpu(cpu)?, Epilogue::Gelu)?;
        values(&cpu.linear(&hidden, layers.fc2.on_cpu(cpu)?, Epilogue::Residual(&x))?)
    }
}

/// γ and β of a block's two norms.
struct Gains([Vec<f32>; 4]);

impl Gains {
    fn of(parts: &BlockParts<'_>) -> Result<Self> {
        let (attn, mlp) = (parts.attn_ln, parts.mlp_ln);
        Ok(Self([values(attn.0)?, values(attn.1)?, values(mlp.0)?, values(mlp.1)?]))
    }

    fn norms<'a>(&'a self, apply: Norm<'a>) -> Norms<'a> {
        let [attn_gamma, attn_beta, mlp_gamma, mlp_beta] = &self.0;
        Norms { attn: (attn_gamma, attn_beta), mlp: (mlp_gamma, mlp_beta), apply }
    }
}

fn layers_of<'a>(parts: &BlockParts<'a>) -> Result<BlockLayers<'a>> {
    let [q, k, v] = parts.project;
    Ok(BlockLayers {
        project: [q.payload()?, k.payload()?, v.payload()?],
        out: parts.out.payload()?,
        fc1: parts.fc1.payload()?,
        fc2: parts.fc2.payload()?,
    })
}

/// An error as receipts count it: without the numbers that differ each time.
fn brief(error: &npu_backend::Error) -> String {
    match error {
        npu_backend::Error::Launch { state, why, .. } => format!("a launch ended as {state:?}: {why}"),
        error => error.to_string(),
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}

#[allow(clippy::cast_precision_loss, reason = "sizes of tensors, for a share of work")]
fn count(size: usize) -> f64 {
    size as f64
}
