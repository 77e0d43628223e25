//! What to run a model on, and in which numbers.

/// What to compute the encoder on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The best that is there; never the emulator.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The neural processing unit; an error if there is none.
    Npu,
    /// The emulated neural processing unit, for tests.
    Emulator,
}

impl Device {
    /// As typed after `--device`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Npu => "npu",
            Self::Emulator => "emulator",
        }
    }
}

/// The numbers that weights are held in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// What suits the checkpoint and the device.
    #[default]
    Auto,
    /// 32-bit floats: token for token as OpenAI's.
    F32,
    /// Brain floats of 16 bits.
    Bf16,
    /// Whole numbers of 8 bits with a scale for each row.
    Int8,
}

impl Precision {
    /// As typed after `--precision`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}
