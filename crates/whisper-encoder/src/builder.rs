//! Building an encoder: which model, where it computes, how precisely.

use std::path::PathBuf;
use std::sync::Arc;

use cpu_backend::{Context, Level, LevelKind, Storage};

use crate::accelerator::{
    Accelerator, CandleAccelerator, CpuAccelerator, Keep, NpuAccelerator, NpuOptions, NpuPrecision,
};
use crate::checkpoint::Checkpoint;
use crate::{Error, Result, WhisperEncoder};

/// Where the encoder computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The CPU, until the NPU has run on silicon; never the emulator.
    #[default]
    Auto,
    /// This machine's CPU.
    Cpu,
    /// Plain candle in f32: the oracle, slow.
    Candle,
    /// The NPU, or an error that says why not.
    Npu,
    /// The emulated NPU.
    Emulator,
}

/// How weights are kept and multiplied. Norms and the exponentials of softmax are in f32
/// throughout, sums in f32 or, of whole numbers, exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// The fastest that is known to read what f32 reads, which is measured on whisper-base and English: 22 clips
    /// (`tests/tests/cpu_fidelity.rs`). **Its numbers differ from machine to machine.** In the CPU's encoder: with AVX-512
    /// VNNI, attention and the linear layers whose weights are int8 round activations to 8 bits; at AVX2, both round
    /// them to 16. Everything else is bf16 with AVX512-BF16, else f32. The text decoder keeps weights in bf16 that
    /// are not int8, and the audio's keys and values in 8 bits with scales; where the likeliest token is taken, it estimates
    /// logits of text that cannot be the largest (AVX2, int8 weights). Name a precision for the same on every machine of a kind.
    #[default]
    Auto,
    /// f32 arithmetic. Int8 checkpoints keep int8 weights in the text decoder, widened where they are multiplied: equal
    /// to their f32 values up to the rounding of sums.
    F32,
    /// Weights in bf16. Where the CPU multiplies bf16 (AVX512-BF16), activations of more than 8 rows are rounded to it
    /// too, so results differ in the last digits between machines. The text decoder keeps the audio's keys and values
    /// in bf16, and int8 weights as they are.
    Bf16,
    /// Weights in int8 with a scale for each output. Where the CPU multiplies 8 bits (AVX-512 VNNI), the encoder rounds
    /// activations to 8 bits too, with a scale and a zero point for each row, and so does its attention: the least exact of
    /// all. At AVX2 both round them to 16 bits. The text decoder is that of `Auto`.
    Int8,
}

impl Device {
    /// As it is typed and printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Candle => "candle",
            Self::Npu => "npu",
            Self::Emulator => "emulator",
        }
    }
}

impl Precision {
    /// As it is typed and printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// How the CPU's text decoder computes a step at this precision: activations in f32; but for [`Self::F32`], where the CPU
    /// multiplies so, in 16 bits where weights are int8, and those of more than 8 rows in bf16 where weights are.
    #[must_use]
    pub fn within(self, context: Context) -> Context {
        match self {
            Self::F32 => context.with_f32_activations(),
            Self::Auto | Self::Bf16 | Self::Int8 => context.with_int16_activations(),
        }
    }

    /// How the CPU's encoder computes at this precision: what it rounds activations to, and how it keeps weights.
    #[must_use]
    pub fn of_encoder(self, context: Context) -> (Context, Keep) {
        let level = context.level();
        match self {
            Self::F32 => (context.with_f32_activations(), Keep::All(Storage::F32)),
            Self::Bf16 => (context, Keep::All(Storage::Bf16)),
            Self::Int8 => (context.with_int8_activations(), Keep::All(Storage::Int8)),
            // What `tests/tests/cpu_fidelity.rs` holds to the gates; without these instructions f32 is fastest.
            Self::Auto if level.has_bf16() && !level.has_vnni() => (context, Keep::All(Storage::Bf16)),
            Self::Auto if level.has_vnni() || level.kind() == LevelKind::Avx2 => {
                let floats = if level.has_bf16() { Storage::Bf16 } else { Storage::F32 };
                (context.with_int8_activations(), Keep::AsStored(floats))
            }
            Self::Auto => (context.with_f32_activations(), Keep::All(Storage::F32)),
        }
    }
}

/// Options of a [`WhisperEncoder`]; start with [`WhisperEncoder::builder`].
#[derive(Clone, Default)]
pub struct EncoderBuilder {
    model: Option<PathBuf>,
    device: Device,
    precision: Precision,
    context: Option<Context>,
    threads: Option<usize>,
    level: Option<LevelKind>,
    pool: Option<Arc<rayon::ThreadPool>>,
    npu: NpuOptions,
    engine: Option<OpenEngine>,
}

/// Opens a device for the NPU accelerator.
type OpenEngine = Arc<dyn Fn() -> npu_backend::Result<npu_backend::ops::Engine> + Send + Sync>;

impl EncoderBuilder {
    /// The model: a folder in the hub's layout, or a `.safetensors` file with `config.json` beside it.
    #[must_use]
    pub fn model(mut self, path: impl Into<PathBuf>) -> Self {
        self.model = Some(path.into());
        self
    }

    /// Where to compute; [`Device::Auto`] unless set.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// How precisely; [`Precision::Auto`] unless set.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Threads of the CPU accelerator; all cores unless set. They work on one operation at a time: where windows are
    /// encoded on several threads of the program at once, one that finds them busy does that operation by itself.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Instructions that the CPU accelerator uses; the fastest of the machine unless set.
    #[must_use]
    pub fn level(mut self, level: LevelKind) -> Self {
        self.level = Some(level);
        self
    }

    /// Runs the CPU accelerator in the caller's pool instead of an own one. With [`Device::Npu`] and
    /// [`Device::Emulator`] it only says how many threads their part on the CPU has, of its own: what is done under the
    /// device's lock must not wait for a pool whose threads may be waiting for that lock.
    #[must_use]
    pub fn thread_pool(mut self, pool: Arc<rayon::ThreadPool>) -> Self {
        self.pool = Some(pool);
        self
    }

    /// How an NPU is used: whether falling back is allowed, how often it is checked. Its types follow
    /// [`Self::precision`].
    #[must_use]
    pub fn npu_options(mut self, options: NpuOptions) -> Self {
        self.npu = options;
        self
    }

    /// Opens the NPU by `open` instead of the usual way: a device with its own settings, as tests want.
    #[must_use]
    pub fn npu_engine(
        mut self,
        open: impl Fn() -> npu_backend::Result<npu_backend::ops::Engine> + Send + Sync + 'static,
    ) -> Self {
        self.engine = Some(Arc::new(open));
        self
    }

    /// Shares the CPU context (level, threads) of the rest of the program.
    #[must_use]
    pub fn context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }

    /// Loads the model.
    ///
    /// # Errors
    /// [`Error::Options`] without a model or with contradictions; [`Error::Device`] if the device is not there; what [`Checkpoint::open`] gives.
    pub fn build(self) -> Result<WhisperEncoder> {
        let Some(path) = &self.model else {
            return Err(Error::Options("no model was given".into()));
        };
        let checkpoint = Checkpoint::open(path)?;
        self.build_from(&checkpoint)
    }

    /// As [`Self::build`], from a checkpoint that is already open.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_from(self, checkpoint: &Checkpoint) -> Result<WhisperEncoder> {
        let accelerator = self.accelerator()?;
        WhisperEncoder::load(checkpoint, accelerator)
    }

    fn accelerator(self) -> Result<Box<dyn Accelerator>> {
        match self.device {
            Device::Candle if matches!(self.precision, Precision::Auto | Precision::F32) => {
                Ok(Box::new(CandleAccelerator))
            }
            Device::Candle => Err(Error::Options("the candle device computes in f32 only".into())),
            Device::Cpu | Device::Auto => {
                let precision = self.precision;
                let (context, keep) = precision.of_encoder(self.cpu_context()?);
                Ok(Box::new(CpuAccelerator::new(context, keep)))
            }
            Device::Npu => self.npu_accelerator("npu", npu_backend::Choice::Xrt),
            Device::Emulator => self.npu_accelerator("emulator", npu_backend::Choice::Emulator),
        }
    }

    fn npu_accelerator(self, name: &str, choice: npu_backend::Choice) -> Result<Box<dyn Accelerator>> {
        let precision = match self.precision {
            Precision::Auto | Precision::Bf16 => NpuPrecision::Bf16,
            Precision::Int8 => NpuPrecision::Int8,
            Precision::F32 => {
                return Err(Error::Options(format!("the {name} device multiplies bf16 or int8, not f32")));
            }
        };
        let refused = |error: npu_backend::Error| {
            let (reason, hint) = match error {
                npu_backend::Error::Unavailable { why, hint, .. } => (why, hint),
                error => (error.to_string(), String::new()),
            };
            Error::Device { device: name.to_owned(), reason, hint }
        };
        let (open, options) = (self.engine.clone(), self.npu);
        let engine = open.map_or_else(|| npu_backend::open_engine(choice), |open| open()).map_err(refused)?;
        // What falls back is computed as precisely as the CPU can.
        Ok(Box::new(NpuAccelerator::new(engine, self.cpu_context()?, precision, options)?))
    }

    fn cpu_context(self) -> Result<Context> {
        if self.level.is_some() && self.context.is_some() {
            return Err(Error::Options("a context has a level: give one of both".into()));
        }
        let level = self.level.map_or_else(|| Ok(Level::detect()), Level::require);
        let level = level.map_err(|error| Error::Device {
            device: "cpu".into(),
            reason: error.to_string(),
            hint: "leave the level out: the fastest of the machine is taken".into(),
        })?;
        match (self.context, self.pool, self.threads) {
            (Some(context), None, None) => Ok(context),
            (None, Some(pool), None) => Ok(Context::with_pool(level, pool)),
            (None, None, threads) => {
                Context::new(level, threads.unwrap_or(0)).map_err(|error| Error::no_threads(&error))
            }
            _ => Err(Error::Options("give one of context, thread_pool and threads".into())),
        }
    }
}
