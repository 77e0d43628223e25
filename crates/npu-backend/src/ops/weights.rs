//! Weights on a device: packed once, pushed once, resident.

use crate::device::{Buffer, BufferId};
use crate::schedule::GemmProblem;
use crate::schedule::pack::PackTag;
use crate::{Error, Result};

/// Packed weights of one linear layer.
#[derive(Debug)]
pub struct DeviceWeights {
    pub(super) buffer: Buffer,
    pub(super) tag: PackTag,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) residual: bool,
}

impl DeviceWeights {
    /// The buffer, for launches.
    #[must_use]
    pub fn buffer(&self) -> BufferId {
        self.buffer.id()
    }

    /// Inputs.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Outputs.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Layout and types.
    #[must_use]
    pub fn tag(&self) -> PackTag {
        self.tag
    }

    /// Refuses weights that were packed for something else: the device would compute nonsense and say COMPLETED.
    pub(super) fn check(&self, problem: &GemmProblem, tag: PackTag) -> Result<()> {
        if self.tag != tag {
            return Err(Error::Shape { why: format!("weights packed as {:?} used as {tag:?}", self.tag) });
        }
        if (self.k, self.n) != (problem.k, problem.n) || self.residual != problem.residual.is_some() {
            return Err(Error::Shape {
                why: format!(
                    "weights of {} outputs, {} inputs, residual {} used for {problem:?}",
                    self.n, self.k, self.residual
                ),
            });
        }
        Ok(())
    }
}
