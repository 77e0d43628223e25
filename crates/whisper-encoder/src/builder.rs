//! Building an encoder: which model, where it computes, how precisely.

use std::path::PathBuf;
use std::sync::Arc;

use cpu_backend::{Context, Level, Storage};

use crate::accelerator::{Accelerator, CandleAccelerator, CpuAccelerator};
use crate::checkpoint::Checkpoint;
use crate::{Error, Result, WhisperEncoder};

/// Where the encoder computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The NPU if there is one, else the CPU; never the emulator.
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

/// How weights are kept and multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// The fastest that keeps to the fidelity gates on this machine.
    #[default]
    Auto,
    /// f32 throughout.
    F32,
    /// Weights in bf16, sums in f32.
    Bf16,
    /// Weights in int8 with a scale for each output, sums in f32.
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

    /// How the CPU keeps the encoder's weights at this precision.
    #[must_use]
    pub fn storage(self) -> Storage {
        match self {
            // Until a reduced precision is measured faster within the gates, f32 is also the default.
            Self::Auto | Self::F32 => Storage::F32,
            Self::Bf16 => Storage::Bf16,
            Self::Int8 => Storage::Int8,
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
    pool: Option<Arc<rayon::ThreadPool>>,
}

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

    /// Threads of the CPU accelerator; all cores unless set.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Runs the CPU accelerator in the caller's pool instead of an own one.
    #[must_use]
    pub fn thread_pool(mut self, pool: Arc<rayon::ThreadPool>) -> Self {
        self.pool = Some(pool);
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
    /// [`Error::Shape`] without a model; [`Error::Device`] if the device is not there; what [`Checkpoint::open`] gives.
    pub fn build(self) -> Result<WhisperEncoder> {
        let Some(path) = &self.model else {
            return Err(Error::Shape("no model was given to the builder".into()));
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
            Device::Candle => Ok(Box::new(CandleAccelerator)),
            Device::Cpu | Device::Auto => {
                let storage = self.precision.storage();
                Ok(Box::new(CpuAccelerator::new(self.cpu_context()?, storage)))
            }
            Device::Npu => Err(unavailable("npu", npu_backend::Choice::Xrt)),
            Device::Emulator => Err(unavailable("emulator", npu_backend::Choice::Emulator)),
        }
    }

    fn cpu_context(self) -> Result<Context> {
        let refused = |reason: String| Error::Device { device: "cpu".into(), reason };
        match (self.context, self.pool) {
            (Some(context), _) => Ok(context),
            (None, Some(pool)) => Ok(Context::with_pool(Level::detect(), pool)),
            (None, None) => Context::new(Level::detect(), self.threads.unwrap_or(0))
                .map_err(|error| refused(error.to_string())),
        }
    }
}

/// Why the NPU or the emulator cannot be used.
fn unavailable(device: &str, choice: npu_backend::Choice) -> Error {
    let reason = match npu_backend::open(choice) {
        Err(error) => error.to_string(),
        // A device would need its accelerator, which this build does not have either.
        Ok(_) => "this build has no accelerator for it".into(),
    };
    Error::Device { device: device.into(), reason }
}
