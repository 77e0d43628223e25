//! How far a command has come.

/// State of a command. The numbers are those of XRT's `ert_cmd_state`; they are not ordered by progress past
/// [`Self::Completed`], so nothing here compares them by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum CommandState {
    /// Made, not submitted.
    New = 1,
    /// Waiting for its turn.
    Queued = 2,
    /// On the device.
    Running = 3,
    /// Done, and well.
    Completed = 4,
    /// The firmware reports an error.
    Error = 5,
    /// Given up, after an earlier command's failure or a reset.
    Abort = 6,
    /// Handed to the driver.
    Submitted = 7,
    /// The driver saw no progress and stopped it.
    Timeout = 8,
    /// The firmware does not answer.
    NoResponse = 9,
    /// A soft kernel failed.
    SoftKernelError = 10,
    /// A soft kernel crashed.
    SoftKernelCrashed = 11,
}

impl CommandState {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::New,
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Error,
        Self::Abort,
        Self::Submitted,
        Self::Timeout,
        Self::NoResponse,
        Self::SoftKernelError,
        Self::SoftKernelCrashed,
    ];

    /// The state of one of XRT's numbers; `None` for a number that it does not define.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&state| state as u32 == code)
    }

    /// Still under way: not finished, well or otherwise.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::New | Self::Queued | Self::Running | Self::Submitted)
    }

    /// Finished, and not well.
    #[must_use]
    pub fn is_failure(self) -> bool {
        !self.is_pending() && self != Self::Completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_both_ways() {
        for (code, state) in (1..).zip(CommandState::ALL) {
            assert_eq!(CommandState::from_code(code), Some(state));
        }
        assert_eq!((CommandState::from_code(0), CommandState::from_code(12)), (None, None));
    }

    #[test]
    fn completed_is_the_only_success_and_submitted_is_no_failure() {
        // `>= Completed` would take both SUBMITTED (7) and ERROR (5) for success.
        let failures: Vec<u32> =
            CommandState::ALL.into_iter().filter(|s| s.is_failure()).map(|s| s as u32).collect();
        assert_eq!(failures, [5, 6, 8, 9, 10, 11]);
        assert!(CommandState::Submitted.is_pending());
        assert!(!CommandState::Completed.is_pending() && !CommandState::Completed.is_failure());
    }
}
