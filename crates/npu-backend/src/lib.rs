//! Drives one neural processing unit: buffers, launches, tickets. Knows nothing of audio, Whisper or tensors.
//!
//! The whole crate stands behind one trait, [`Device`], whose contract is written on it in six clauses. What a
//! reader may know from elsewhere, and its name here:
//!
//! | elsewhere | here | what it is |
//! |---|---|---|
//! | xclbin, or full ELF | [`KernelImage`] | what configures the array, with the instruction streams that run on it |
//! | hardware context | [`ContextId`] | one loaded image; few fit at a time, and switching costs milliseconds |
//! | kernel with its instruction stream | [`KernelId`] | one entry of a loaded image |
//! | buffer object (BO) | [`Buffer`], named by [`BufferId`] | memory with a host copy and a device copy |
//! | sync to device, sync from device | [`Device::push`], [`Device::pull`] | make one copy of a range equal the other |
//! | run | [`Launch`] | one kernel with its buffers |
//! | runlist, command chain | [`Batch`] | launches of one context, submitted together, run in order |
//! | fence, run handle | [`Ticket`] | what to wait on |
//! | `ert_cmd_state` | [`CommandState`] | how far a command has come |
//!
//! # Devices
//!
//! [`emulator::Emulator`] models an NPU at the level of launches. It must be asked for by name: [`Choice::Auto`] never
//! opens it. [`xrt::XrtDevice`] is hardware, through AMD's XRT and a small library of ours that is opened at run time;
//! where that fails, the error says what is missing.

#![deny(unsafe_code)]

// For test code that is shared with tests outside.
#[cfg(test)]
extern crate self as npu_backend;

pub mod device;
pub mod emulator;
mod error;
pub mod kernel;
pub mod open;
pub mod ops;
pub mod schedule;
pub mod xrt;

pub use device::{
    Arch, ArgumentSpec, Batch, Buffer, BufferId, BufferRole, CommandState, ContextId, Counters, Device,
    DeviceInfo, KernelEntry, KernelId, KernelImage, Launch, Modelled, Progress, Ticket,
};
pub use error::{Error, Obstacle, Result};
pub use open::{Choice, open, open_engine};
