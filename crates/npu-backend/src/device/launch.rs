//! What is run: launches, in batches, waited for by tickets.

use crate::device::{BufferId, ContextId, KernelId};
use crate::{Error, Result};

/// One kernel with its buffers bound, in the order of its image entry's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// What runs.
    pub kernel: KernelId,
    /// On what.
    pub buffers: Vec<BufferId>,
}

/// Launches of one context that are submitted together and run in order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    launches: Vec<Launch>,
}

impl Batch {
    /// Takes launches that share one context.
    ///
    /// # Errors
    /// [`Error::Batch`] if there is none, or they do not share one context.
    pub fn new(launches: Vec<Launch>) -> Result<Self> {
        let Some(first) = launches.first() else {
            return Err(Error::Batch { why: "it has no launch".into() });
        };
        let context = first.kernel.context();
        match launches.iter().position(|launch| launch.kernel.context() != context) {
            None => Ok(Self { launches }),
            Some(index) => Err(Error::Batch {
                why: format!(
                    "launch {index} runs in {:?}, the ones before it in {context:?}",
                    launches[index].kernel.context()
                ),
            }),
        }
    }

    /// Its launches in order; at least one.
    #[must_use]
    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// The context that all of them run in.
    #[must_use]
    pub fn context(&self) -> ContextId {
        self.launches[0].kernel.context()
    }
}

/// A submitted batch, to be waited for until it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a wait that did not fail has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "the ticket may still be running: results are there after `Done` only"]
pub enum Progress {
    /// Every launch of the batch has completed; the ticket has ended.
    Done,
    /// The time given to the wait is over, the batch is not. The ticket goes on.
    Running,
}

impl Progress {
    /// Whether the ticket has ended.
    #[must_use]
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn launch(context: u64, entry: usize) -> Launch {
        Launch { kernel: ContextId(context).kernel(entry), buffers: vec![BufferId(1)] }
    }

    #[test]
    fn a_batch_runs_in_one_context() {
        let batch = Batch::new(vec![launch(2, 0), launch(2, 7), launch(2, 0)]).unwrap();
        assert_eq!((batch.context(), batch.launches().len()), (ContextId(2), 3));
    }

    #[test]
    fn a_batch_that_spans_contexts_names_the_launch() {
        let error = Batch::new(vec![launch(2, 0), launch(2, 1), launch(3, 0)]).unwrap_err();
        assert!(matches!(&error, Error::Batch { why } if why.contains("launch 2")), "{error}");
    }

    #[test]
    fn an_empty_batch_is_refused() {
        assert!(matches!(Batch::new(Vec::new()), Err(Error::Batch { .. })));
    }
}
