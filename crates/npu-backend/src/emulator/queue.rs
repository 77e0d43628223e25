//! Submitted batches: cut in chains, queued in order, remembered until a wait ends them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use crate::{BufferId, CommandState, ContextId, Launch, Ticket};

/// How a batch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) index: usize,
    pub(super) state: CommandState,
    pub(super) why: String,
}

/// A batch that no wait has ended.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) context: ContextId,
    pub(super) launches: Vec<Launch>,
    /// Each buffer once.
    pub(super) buffers: Vec<BufferId>,
    /// Chains that the device has not come to.
    pub(super) chains_left: usize,
    /// When the last chain that it has come to ends.
    pub(super) end: Duration,
    pub(super) failure: Option<Failure>,
}

/// One submission: some launches of a batch, at most as many as the driver chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) ticket: Ticket,
    pub(super) context: ContextId,
    pub(super) launches: Range<usize>,
    pub(super) submitted: Duration,
}

/// What the driver holds.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) flights: BTreeMap<Ticket, Flight>,
    pub(super) waiting: VecDeque<Chain>,
    /// Chains that the model has run, and when they will end by the virtual clock.
    ends: Vec<(ContextId, Duration)>,
}

impl Queue {
    /// Submissions of a context that have not ended at `now`.
    pub(super) fn in_flight(&mut self, context: ContextId, now: Duration) -> usize {
        self.ends.retain(|(_, end)| *end > now);
        let of = |other: ContextId| usize::from(other == context);
        self.waiting.iter().map(|chain| of(chain.context)).sum::<usize>()
            + self.ends.iter().map(|(other, _)| of(*other)).sum::<usize>()
    }

    /// When the next of a context's submissions that the model has run will end.
    pub(super) fn next_end(&self, context: ContextId) -> Option<Duration> {
        self.ends.iter().filter(|(other, _)| *other == context).map(|(_, end)| *end).min()
    }

    /// The model has run `chain`: it ends at `end`, with the batch's first failure if it has one.
    pub(super) fn ended(&mut self, chain: &Chain, end: Duration, failure: Option<Failure>) {
        self.ends.push((chain.context, end));
        if let Some(flight) = self.flights.get_mut(&chain.ticket) {
            flight.chains_left = flight.chains_left.saturating_sub(1);
            flight.end = flight.end.max(end);
            flight.failure = flight.failure.take().or(failure);
        }
    }

    /// An unfinished ticket of a context.
    pub(super) fn user_of(&self, context: ContextId) -> Option<Ticket> {
        self.flights.iter().find(|(_, flight)| flight.context == context).map(|(ticket, _)| *ticket)
    }
}

/// A batch of `launches` as ranges of at most `longest`.
pub(super) fn chains(launches: usize, longest: usize) -> impl Iterator<Item = Range<usize>> {
    let longest = longest.max(1);
    (0..launches).step_by(longest).map(move |start| start..launches.min(start + longest))
}

#[cfg(test)]
mod tests {
    use super::chains;

    #[test]
    fn sixty_launches_are_three_chains() {
        assert_eq!(chains(60, 24).collect::<Vec<_>>(), [0..24, 24..48, 48..60]);
        assert_eq!(chains(24, 24).count(), 1);
        assert_eq!(chains(25, 24).last(), Some(24..25));
    }
}
