//! What a device has done since it was opened: the numbers that a receipt prints.

use std::time::Duration;

/// Counts since the device was opened. Every device keeps them in the same sense, so that the emulator's can be
/// compared with the hardware's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Images loaded.
    pub loads: u64,
    /// Batches accepted.
    pub batches: u64,
    /// Submissions that they were cut into, of at most [`launches_per_chain`](crate::DeviceInfo::launches_per_chain).
    pub submissions: u64,
    /// Launches in accepted batches.
    pub launches: u64,
    /// Batches whose wait told a failure.
    pub failed_batches: u64,
    /// Batches that ran in another context than the batch before; the first one counts.
    pub context_switches: u64,
    /// Calls of [`push`](crate::Device::push) with a range that is not empty.
    pub pushes: u64,
    /// Bytes of those ranges.
    pub pushed_bytes: u64,
    /// Calls of [`pull`](crate::Device::pull) with a range that is not empty.
    pub pulls: u64,
    /// Bytes of those ranges.
    pub pulled_bytes: u64,
    /// Where modelled time went. Only of a device that [says so](crate::DeviceInfo::modelled): hardware's times are
    /// measured by who uses it.
    pub modelled: Option<Modelled>,
}

impl Counters {
    /// What was done after `earlier`, a reading of the same device.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            loads: self.loads.saturating_sub(earlier.loads),
            batches: self.batches.saturating_sub(earlier.batches),
            submissions: self.submissions.saturating_sub(earlier.submissions),
            launches: self.launches.saturating_sub(earlier.launches),
            failed_batches: self.failed_batches.saturating_sub(earlier.failed_batches),
            context_switches: self.context_switches.saturating_sub(earlier.context_switches),
            pushes: self.pushes.saturating_sub(earlier.pushes),
            pushed_bytes: self.pushed_bytes.saturating_sub(earlier.pushed_bytes),
            pulls: self.pulls.saturating_sub(earlier.pulls),
            pulled_bytes: self.pulled_bytes.saturating_sub(earlier.pulled_bytes),
            modelled: self.modelled.map(|now| now.since(&earlier.modelled.unwrap_or_default())),
        }
    }
}

/// Modelled time and where it went. No clock was read for any of it, and it belongs in no table of measurements.
///
/// `device = launch + switch + run + ends + recovery`. `compute`, `stream` and `memory` overlap: `run` is the sum over
/// launches of the longest of the three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modelled {
    /// The virtual clock: device, host and idle time as a caller with a watch would have seen them.
    pub elapsed: Duration,
    /// The array and its controller were busy.
    pub device: Duration,
    /// Getting launches started and their end noticed.
    pub launch: Duration,
    /// Putting another context's configuration on the array.
    pub switch: Duration,
    /// Longest of the next three, summed over launches.
    pub run: Duration,
    /// Arithmetic of the slowest core.
    pub compute: Duration,
    /// The busiest stream between memtiles and cores.
    pub stream: Duration,
    /// Main memory, with its penalty for short runs.
    pub memory: Duration,
    /// Before the first tile is in and after the last is computed, when nothing overlaps.
    pub ends: Duration,
    /// Waiting for the driver to find a launch hung.
    pub recovery: Duration,
    /// Making contexts.
    pub create: Duration,
    /// Cache flushes by the host in push and pull.
    pub host: Duration,
}

impl Modelled {
    /// Field by field with another.
    fn zip(self, other: &Self, f: impl Fn(Duration, Duration) -> Duration) -> Self {
        Self {
            elapsed: f(self.elapsed, other.elapsed),
            device: f(self.device, other.device),
            launch: f(self.launch, other.launch),
            switch: f(self.switch, other.switch),
            run: f(self.run, other.run),
            compute: f(self.compute, other.compute),
            stream: f(self.stream, other.stream),
            memory: f(self.memory, other.memory),
            ends: f(self.ends, other.ends),
            recovery: f(self.recovery, other.recovery),
            create: f(self.create, other.create),
            host: f(self.host, other.host),
        }
    }

    /// The sum of both, field by field.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        self.zip(other, Duration::saturating_add)
    }

    /// What came after `earlier`, field by field.
    #[must_use]
    pub fn since(self, earlier: &Self) -> Self {
        self.zip(earlier, Duration::saturating_sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_the_difference_of_two_readings() {
        let ms = Duration::from_millis;
        let modelled =
            |elapsed, host| Modelled { elapsed: ms(elapsed), host: ms(host), ..Modelled::default() };
        let earlier =
            Counters { launches: 3, pushes: 1, modelled: Some(modelled(5, 1)), ..Counters::default() };
        let later =
            Counters { launches: 10, pushes: 1, modelled: Some(modelled(9, 4)), ..Counters::default() };
        let span = later.since(&earlier);
        assert_eq!((span.launches, span.pushes), (7, 0));
        assert_eq!(span.modelled, Some(modelled(4, 3)));
        assert_eq!(modelled(4, 3).plus(&modelled(5, 1)), modelled(9, 4));
    }
}
