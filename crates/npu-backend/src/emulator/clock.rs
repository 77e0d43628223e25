//! The virtual clock: the host's now, and when the array will be free.

use std::time::Duration;

use crate::ContextId;

/// Times since the device was opened.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// What a caller's watch would show.
    pub(super) now: Duration,
    /// When the array has done all that it was seen to do.
    pub(super) array_free: Duration,
    /// Whose configuration is on the array.
    pub(super) resident: Option<ContextId>,
    /// When the device was last reset; what was submitted before is aborted.
    pub(super) reset: Duration,
}

impl Clock {
    /// The host does something for `span`.
    pub(super) fn host_spends(&mut self, span: Duration) {
        self.now = self.now.saturating_add(span);
    }

    /// The host sleeps until `instant`, if that is still to come.
    pub(super) fn sleep_until(&mut self, instant: Duration) {
        self.now = self.now.max(instant);
    }

    /// Contexts take turns on the array: when one that was submitted at `submitted` begins.
    pub(super) fn start_of(&self, submitted: Duration) -> Duration {
        self.array_free.max(submitted)
    }

    /// The driver stops and restarts every context.
    pub(super) fn reset_at(&mut self, instant: Duration) {
        self.reset = self.reset.max(instant);
        self.array_free = self.array_free.max(instant);
        self.resident = None;
    }
}
