//! What doctor says: one [`Finding`] for each [`Check`].

use crate::model::Device;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Instructions and threads of the CPU.
    Processor,
    /// The kernel's driver of NPUs.
    Driver,
    /// The NPU on the PCI bus.
    Npu,
    /// Its device node.
    Node,
    /// Whether this user may use the node.
    Permission,
    /// How much memory may be locked.
    LockedMemory,
    /// The NPU's firmware.
    Firmware,
    /// AMD's runtime.
    Xrt,
    /// This program's library above it.
    Shim,
    /// Kernels built for the NPU.
    Images,
    /// The bundled model.
    Model,
    /// The C++ compiler that the emulator needs.
    Compiler,
    /// One tile, run and compared.
    Trial,
}

impl Check {
    /// All, in the order in which one builds on the other.
    #[cfg(test)]
    pub(super) const ALL: [Self; 13] = [
        Self::Processor,
        Self::Driver,
        Self::Npu,
        Self::Node,
        Self::Permission,
        Self::LockedMemory,
        Self::Firmware,
        Self::Xrt,
        Self::Shim,
        Self::Images,
        Self::Model,
        Self::Compiler,
        Self::Trial,
    ];

    /// Its name on the screen and in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Driver => "driver",
            Self::Npu => "npu",
            Self::Node => "node",
            Self::Permission => "permission",
            Self::LockedMemory => "memlock",
            Self::Firmware => "firmware",
            Self::Xrt => "xrt",
            Self::Shim => "shim",
            Self::Images => "kernels",
            Self::Model => "model",
            Self::Compiler => "compiler",
            Self::Trial => "trial",
        }
    }

    /// Whether a transcription on `device` needs it. The NPU and the emulator run only parts: the rest is the CPU's.
    pub(super) fn is_needed_by(self, device: Device) -> bool {
        match self {
            Self::Processor | Self::Model => true,
            Self::Compiler => device == Device::Emulator,
            Self::Trial => matches!(device, Device::Npu | Device::Emulator),
            _ => device == Device::Npu,
        }
    }
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It works.
    Ok,
    /// It does not.
    Problem,
    /// It cannot be told, for the reason given.
    Unchecked,
}

impl Status {
    /// On the screen and in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Problem => "problem",
            Self::Unchecked => "not checked",
        }
    }
}

/// A line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) status: Status,
    /// What was found, or why nothing was looked for.
    pub(super) what: String,
    /// What to do; only problems have one.
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: Check, what: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, what: what.into(), fix: None }
    }

    pub(super) fn problem(check: Check, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, status: Status::Problem, what: what.into(), fix: Some(fix.into()) }
    }

    pub(super) fn unchecked(check: Check, why: impl Into<String>) -> Self {
        Self { check, status: Status::Unchecked, what: why.into(), fix: None }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.status == Status::Ok
    }
}
