//! What the shim says when a call fails, sorted by what a caller can do about it.

use super::bindings;
use crate::{CommandState, Error};

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// In XRT's words.
    pub(super) why: String,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// An error number of the system.
    System(i32),
    /// Command `index` ended so.
    Command { state: CommandState, index: usize },
    /// The driver has taken a command and ended it without running it.
    Forgotten,
    /// Another complaint of XRT.
    Runtime,
    /// The host has no memory.
    HostMemory,
}

/// Linux's numbers (asm-generic/errno-base.h and errno.h), of those that mean something here.
pub(super) mod errno {
    pub(crate) const EPERM: i32 = 1;
    pub(crate) const ENXIO: i32 = 6;
    pub(crate) const EAGAIN: i32 = 11;
    pub(crate) const EACCES: i32 = 13;
    pub(crate) const ENODEV: i32 = 19;
    pub(crate) const EINVAL: i32 = 22;
    pub(crate) const ENOSPC: i32 = 28;
}

/// What to do about a memory lock limit.
pub(super) const RAISE_MEMLOCK: &str =
    "raise it with `ulimit -l unlimited` or in /etc/security/limits.conf (Docker: `--ulimit memlock=-1`)";

impl Failure {
    pub(super) fn new(cause: Cause, why: impl Into<String>) -> Self {
        Self { cause, why: why.into() }
    }

    pub(super) fn of(error: &bindings::xrt_shim_error) -> Self {
        let bytes: Vec<u8> =
            error.message.iter().take_while(|c| **c != 0).map(|c| c.to_ne_bytes()[0]).collect();
        let cause = match error.cause {
            bindings::XRT_SHIM_CAUSE_SYSTEM => Cause::System(error.code),
            bindings::XRT_SHIM_CAUSE_COMMAND => Cause::Command {
                state: state(error.code),
                index: usize::try_from(error.index).unwrap_or(usize::MAX),
            },
            bindings::XRT_SHIM_CAUSE_FORGOTTEN => Cause::Forgotten,
            bindings::XRT_SHIM_CAUSE_MEMORY => Cause::HostMemory,
            _ => Cause::Runtime,
        };
        Self { cause, why: String::from_utf8_lossy(&bytes).trim().to_owned() }
    }

    /// Whether the device is not there any more.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self.cause, Cause::System(errno::ENODEV | errno::ENXIO))
    }

    /// As the answer to waiting for a submission: how its commands ended, and which of them first. `None` if that is not said:
    /// they may be under way.
    pub(super) fn end(&self) -> Option<(CommandState, usize)> {
        match self.cause {
            Cause::Command { state, index } => Some((state, index)),
            Cause::Forgotten => Some((CommandState::Abort, 0)),
            Cause::System(_) | Cause::Runtime | Cause::HostMemory => None,
        }
    }

    pub(super) fn lost(&self) -> Error {
        Error::DeviceLost { why: self.why.clone() }
    }

    /// As the answer to making a buffer object.
    pub(super) fn of_alloc(&self, len_bytes: usize) -> Error {
        if self.is_loss() {
            return self.lost();
        }
        let advice = match self.cause {
            Cause::System(errno::EAGAIN) => format!("; the memlock limit is too low: {RAISE_MEMLOCK}"),
            Cause::System(errno::ENOSPC) => "; the device's heap is full: unload a context".into(),
            _ => String::new(),
        };
        Error::Alloc { len_bytes, why: format!("{}{advice}", self.why) }
    }

    /// As the answer to loading an image.
    pub(super) fn of_image(&self, what: &str) -> Error {
        if self.is_loss() {
            return self.lost();
        }
        Error::Image { why: format!("{what}: {}", self.why) }
    }
}

/// The state that a command failed with. A number that XRT does not define is an error; so is COMPLETED, which does not fail.
fn state(code: i32) -> CommandState {
    let state = u32::try_from(code).ok().and_then(CommandState::from_code);
    state.filter(|state| state.is_failure()).unwrap_or(CommandState::Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(cause: u32, code: i32, text: &str) -> bindings::xrt_shim_error {
        let mut message = [0; 500];
        for (to, from) in message.iter_mut().zip(text.bytes()) {
            *to = std::ffi::c_char::from_ne_bytes([from]);
        }
        bindings::xrt_shim_error { cause, code, index: 3, message }
    }

    #[test]
    fn causes_are_told_apart() {
        let of = |cause, code| Failure::of(&error(cause, code, " why \n"));
        assert_eq!(of(1, 13), Failure::new(Cause::System(13), "why"));
        assert_eq!(of(2, 8).cause, Cause::Command { state: CommandState::Timeout, index: 3 });
        assert_eq!(of(3, 0).cause, Cause::Runtime);
        assert_eq!(of(4, 0).cause, Cause::HostMemory);
        assert_eq!(of(6, 1).cause, Cause::Forgotten);
        assert_eq!(of(99, 0).cause, Cause::Runtime);
        // Never a failure that has completed, or that is still running.
        for code in [4, 7, 0, -1, 77] {
            assert_eq!(of(2, code).cause, Cause::Command { state: CommandState::Error, index: 3 }, "{code}");
        }
    }

    #[test]
    fn a_device_that_has_gone_is_lost_whatever_was_asked() {
        for code in [errno::ENODEV, errno::ENXIO] {
            let failure = Failure::new(Cause::System(code), "gone");
            assert!(matches!(failure.of_alloc(1), Error::DeviceLost { .. }));
            assert!(matches!(failure.of_image("x"), Error::DeviceLost { .. }));
        }
        let locked = Failure::new(Cause::System(errno::EAGAIN), "mmap").of_alloc(5).to_string();
        assert!(locked.contains("memlock") && locked.contains("ulimit"), "{locked}");
        assert!(matches!(Failure::new(Cause::Runtime, "x").of_image("y"), Error::Image { .. }));
    }

    #[test]
    fn a_message_that_fills_its_field_is_read_to_its_end() {
        let text = "é".repeat(300);
        let failure = Failure::of(&error(3, 0, &text));
        assert_eq!(failure.why.chars().count(), 250);
    }
}
