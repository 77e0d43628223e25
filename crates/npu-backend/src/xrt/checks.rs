//! What can be refused before anything runs.

use std::collections::BTreeMap;

use super::context::Context;
use super::memory::{Memory, Use};
use crate::{Batch, BufferId, ContextId, Error, Launch, Result};

/// Checks a batch; answers what it does with each buffer.
pub(super) fn uses(
    batch: &Batch,
    contexts: &BTreeMap<ContextId, Context>,
    memory: &Memory,
) -> Result<Vec<(BufferId, bool)>> {
    let mut uses: Vec<(BufferId, bool)> = Vec::new();
    for (index, launch) in batch.launches().iter().enumerate() {
        for (buffer, writes) in launch_uses(index, launch, contexts, memory)? {
            match uses.iter_mut().find(|(known, _)| *known == buffer) {
                Some((_, written)) => *written |= writes,
                None => uses.push((buffer, writes)),
            }
        }
    }
    Ok(uses)
}

fn launch_uses(
    index: usize,
    launch: &Launch,
    contexts: &BTreeMap<ContextId, Context>,
    memory: &Memory,
) -> Result<Vec<(BufferId, bool)>> {
    let kernel = launch.kernel;
    let context = contexts.get(&kernel.context()).ok_or(Error::UnknownKernel(kernel))?;
    let stream = context.stream(kernel.entry()).ok_or(Error::UnknownKernel(kernel))?;
    let (want, got) = (stream.arguments().len(), launch.buffers.len());
    if want != got {
        return Err(Error::ArgumentCount { index, kernel, want, got });
    }
    let mut uses = Vec::with_capacity(got);
    for (argument, (spec, &buffer)) in stream.arguments().iter().zip(&launch.buffers).enumerate() {
        let object = memory.object(buffer)?;
        if !object.role.fits(spec.role) || object.len_bytes < spec.len_bytes {
            return Err(Error::ArgumentBuffer {
                index,
                argument,
                want_role: spec.role,
                want_len: spec.len_bytes,
                got_role: object.role,
                got_len: object.len_bytes,
            });
        }
        let writes = spec.role.device_writes();
        let again = uses.iter().position(|&(known, written)| known == buffer && (written || writes));
        if let Some(first) = again {
            return Err(Error::ArgumentAlias { index, buffer, first, second: argument });
        }
        uses.push((buffer, writes));
    }
    Ok(uses)
}

/// Refuses what would race with an unfinished batch of another context.
pub(super) fn races(memory: &Memory, context: ContextId, uses: &[(BufferId, bool)]) -> Result<()> {
    for &(buffer, writes) in uses {
        let races = |other: &&Use| other.context != context && (other.writes || writes);
        if let Some(other) = memory.object(buffer)?.uses.iter().find(races) {
            return Err(Error::Busy {
                what: format!("{buffer:?}, which another context uses and one of both writes,"),
                ticket: other.ticket,
            });
        }
    }
    Ok(())
}
