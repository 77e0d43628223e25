//! All buffer objects of a device: page rounding, the memory lock limit, the device heap, who uses what.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::device::ids;
use crate::emulator::lines::Lines;
use crate::emulator::random::Random;
use crate::{Buffer, BufferId, BufferRole, ContextId, Error, Result, Ticket};

/// Sizes are rounded up to these (XDNA:src/shim/buffer.cpp).
const PAGE_BYTES: usize = 4096;

/// Instruction streams live on a heap, in blocks of a multiple of this (XDNA:npu1_regs.c:143, npu4_regs.c:208).
const HEAP_GRANULE_BYTES: usize = 32 << 10;

/// How the caches behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Eviction {
    /// Lines move at push and pull only, and stale ones hold poison: a forgotten sync is always seen.
    #[default]
    Strict,
    /// As silicon may: lines are also evicted and fetched at random moments, from this seed. A correct caller never
    /// notices; one that forgets a sync sees old bytes, new ones, or loses a launch's output.
    Fuzzed {
        /// Where the random numbers start.
        seed: u64,
    },
}

/// What an unfinished ticket does with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) ticket: Ticket,
    pub(super) context: ContextId,
    pub(super) writes: bool,
}

/// One buffer object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) len_bytes: usize,
    pub(super) role: BufferRole,
    pub(super) lines: Lines,
    pub(super) uses: Vec<Use>,
    /// Freed by its owner; goes with its last use.
    freed: bool,
}

/// A block of the device heap.
#[derive(Debug)]
pub(super) struct HeapBlock {
    bytes: usize,
}

/// The buffers of one device.
#[derive(Debug)]
pub(super) struct Memory {
    objects: BTreeMap<BufferId, Object>,
    /// Bytes that count against the memory lock limit: mapped pages, and instruction streams.
    locked_bytes: usize,
    heap_bytes: usize,
    random: Option<Random>,
    limits: Limits,
}

/// What there is, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The memory lock limit, if there is one.
    pub(super) memlock_bytes: Option<usize>,
    /// Everything.
    pub(super) capacity_bytes: usize,
    /// Of that, for instruction streams.
    pub(super) heap_bytes: usize,
}

impl Memory {
    pub(super) fn new(eviction: Eviction, limits: Limits) -> Self {
        let random = match eviction {
            Eviction::Strict => None,
            Eviction::Fuzzed { seed } => Some(Random::new(seed)),
        };
        Self { objects: BTreeMap::new(), locked_bytes: 0, heap_bytes: 0, random, limits }
    }

    pub(super) fn alloc(&mut self, len_bytes: usize, role: BufferRole) -> Result<Buffer> {
        let refuse = |why: String| Error::Alloc { len_bytes, why };
        if len_bytes == 0 {
            return Err(refuse("a buffer has at least one byte (EINVAL)".into()));
        }
        let pages = len_bytes.checked_next_multiple_of(PAGE_BYTES).unwrap_or(usize::MAX);
        self.lock(pages, len_bytes)?;
        let Some(lines) = Lines::zeros(len_bytes) else {
            self.locked_bytes -= pages;
            return Err(refuse("this machine has no memory for the emulator's copies".into()));
        };
        let id = BufferId(ids::fresh());
        self.objects.insert(id, Object { len_bytes, role, lines, uses: Vec::new(), freed: false });
        Ok(Buffer::new(id, len_bytes, role))
    }

    /// Counts pages that are mapped and locked.
    fn lock(&mut self, bytes: usize, len_bytes: usize) -> Result<()> {
        let total = self.locked_bytes.saturating_add(bytes);
        if let Some(limit) = self.limits.memlock_bytes.filter(|&limit| total > limit) {
            return Err(Error::Alloc {
                len_bytes,
                why: format!(
                    "{total} bytes would be locked, the memlock limit is {limit} (EAGAIN); raise it with \
                     `ulimit -l unlimited` or in /etc/security/limits.conf (Docker: `--ulimit memlock=-1`)"
                ),
            });
        }
        if total > self.limits.capacity_bytes {
            let capacity = self.limits.capacity_bytes;
            let why = format!("{total} bytes would be in use, the modelled device has {capacity} (ENOMEM)");
            return Err(Error::Alloc { len_bytes, why });
        }
        self.locked_bytes = total;
        Ok(())
    }

    /// Room for an instruction stream (a cacheable buffer object in the driver's terms).
    pub(super) fn alloc_instructions(&mut self, len_bytes: usize) -> Result<HeapBlock> {
        let bytes = len_bytes.max(1).checked_next_multiple_of(HEAP_GRANULE_BYTES).unwrap_or(usize::MAX);
        if self.heap_bytes.saturating_add(bytes) > self.limits.heap_bytes {
            let why = format!(
                "the device heap of {} bytes for instruction streams, in blocks of {HEAP_GRANULE_BYTES}, is full \
                 (ENOSPC); unload a context",
                self.limits.heap_bytes
            );
            return Err(Error::Alloc { len_bytes, why });
        }
        self.lock(bytes, len_bytes)?;
        self.heap_bytes += bytes;
        Ok(HeapBlock { bytes })
    }

    pub(super) fn free_instructions(&mut self, block: &HeapBlock) {
        self.heap_bytes = self.heap_bytes.saturating_sub(block.bytes);
        self.locked_bytes = self.locked_bytes.saturating_sub(block.bytes);
    }

    /// Frees now, or when the last use ends.
    pub(super) fn free(&mut self, id: BufferId) -> Result<()> {
        let object = self.object_mut(id)?;
        object.freed = true;
        self.reap(id);
        Ok(())
    }

    fn reap(&mut self, id: BufferId) {
        if self.objects.get(&id).is_some_and(|object| object.freed && object.uses.is_empty())
            && let Some(object) = self.objects.remove(&id)
        {
            let pages = object.len_bytes.checked_next_multiple_of(PAGE_BYTES).unwrap_or(usize::MAX);
            self.locked_bytes = self.locked_bytes.saturating_sub(pages);
        }
    }

    /// Ends what `ticket` does with a buffer.
    pub(super) fn release(&mut self, id: BufferId, ticket: Ticket) {
        if let Some(object) = self.objects.get_mut(&id) {
            object.uses.retain(|one| one.ticket != ticket);
        }
        self.reap(id);
    }

    /// A buffer that its owner still has.
    pub(super) fn object(&self, id: BufferId) -> Result<&Object> {
        self.objects.get(&id).filter(|object| !object.freed).ok_or(Error::UnknownBuffer(id))
    }

    pub(super) fn object_mut(&mut self, id: BufferId) -> Result<&mut Object> {
        self.objects.get_mut(&id).filter(|object| !object.freed).ok_or(Error::UnknownBuffer(id))
    }

    /// A buffer that its owner still has and that no unfinished ticket writes.
    pub(super) fn unwritten(&self, id: BufferId) -> Result<&Object> {
        let object = self.object(id)?;
        match object.uses.iter().find(|one| one.writes) {
            Some(writer) => Err(Error::Busy { what: format!("{id:?}"), ticket: writer.ticket }),
            None => Ok(object),
        }
    }

    /// A buffer that its owner still has and that no unfinished ticket uses.
    pub(super) fn idle(&mut self, id: BufferId) -> Result<&mut Object> {
        let object = self.object_mut(id)?;
        match object.uses.first() {
            Some(first) => Err(Error::Busy { what: format!("{id:?}"), ticket: first.ticket }),
            None => Ok(object),
        }
    }

    /// The buffer to push or pull `range` of; `None` if there is nothing to do.
    pub(super) fn ranged(&mut self, id: BufferId, range: &Range<usize>) -> Result<Option<&mut Object>> {
        let len_bytes = self.object(id)?.len_bytes;
        if range.start > range.end || range.end > len_bytes {
            return Err(Error::Range { buffer: id, start: range.start, end: range.end, len_bytes });
        }
        if range.is_empty() {
            return Ok(None);
        }
        self.idle(id).map(Some)
    }

    /// For launches: a buffer that may have been freed meanwhile.
    pub(super) fn bound(&self, id: BufferId) -> Option<&Object> {
        self.objects.get(&id)
    }

    pub(super) fn bound_mut(&mut self, id: BufferId) -> Option<&mut Object> {
        self.objects.get_mut(&id)
    }

    /// Whether stale lines hold poison.
    pub(super) fn is_strict(&self) -> bool {
        self.random.is_none()
    }

    /// What the caches may do to a buffer that a launch is about to use, or has just used.
    pub(super) fn around_launch(&mut self, id: BufferId) {
        let Some(object) = self.objects.get_mut(&id) else { return };
        match &mut self.random {
            None => object.lines.poison_unpushed(),
            Some(random) => object.lines.disturb(random),
        }
    }

    /// What the caches may do at any other moment: something to some buffer, in fuzzed mode.
    pub(super) fn disturb_one(&mut self) {
        if let Some(random) = &mut self.random {
            let chosen = random.below(self.objects.len());
            if let Some(object) = self.objects.values_mut().nth(chosen) {
                object.lines.disturb(random);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn memory(memlock_bytes: Option<usize>) -> Memory {
        Memory::new(Eviction::Strict, Limits { memlock_bytes, capacity_bytes: 1 << 30, heap_bytes: 64 << 20 })
    }

    #[test]
    fn lengths_are_rounded_to_pages_against_the_memlock_limit_which_the_error_names() {
        let mut memory = memory(Some(3 * PAGE_BYTES));
        let first = memory.alloc(1, BufferRole::Input).unwrap();
        memory.alloc(PAGE_BYTES + 1, BufferRole::Input).unwrap();
        let error = memory.alloc(1, BufferRole::Input).unwrap_err().to_string();
        assert!(error.contains("memlock") && error.contains("ulimit"), "{error}");
        memory.free(first.id()).unwrap();
        memory.alloc(PAGE_BYTES, BufferRole::Output).unwrap();
    }

    #[test]
    fn impossible_lengths_are_errors_and_leave_nothing_behind() {
        let mut memory = memory(None);
        for len in [0, usize::MAX, usize::MAX - PAGE_BYTES, (1 << 30) + 1] {
            assert!(matches!(memory.alloc(len, BufferRole::Input), Err(Error::Alloc { .. })), "{len}");
        }
        assert_eq!(memory.locked_bytes, 0);
    }

    #[test]
    fn the_device_heap_holds_2048_streams_and_then_says_that_it_is_full() {
        let mut memory = memory(None);
        let blocks: Vec<_> = (0..2048).map(|_| memory.alloc_instructions(100).unwrap()).collect();
        let error = memory.alloc_instructions(1).unwrap_err().to_string();
        assert!(error.contains("heap") && error.contains("ENOSPC"), "{error}");
        blocks[..2].iter().for_each(|block| memory.free_instructions(block));
        memory.alloc_instructions(HEAP_GRANULE_BYTES + 1).unwrap();
        assert!(memory.alloc_instructions(1).is_err());
    }

    #[test]
    fn a_freed_buffer_is_unknown_at_once_and_gone_after_its_last_use() {
        let mut memory = memory(None);
        let id = memory.alloc(10, BufferRole::Input).unwrap().id();
        let one = |ticket| Use { ticket: Ticket(ticket), context: ContextId(1), writes: false };
        memory.object_mut(id).unwrap().uses.extend([one(1), one(2)]);
        memory.free(id).unwrap();
        assert!(matches!(memory.object(id), Err(Error::UnknownBuffer(_))));
        memory.release(id, Ticket(1));
        assert!(memory.bound(id).is_some());
        memory.release(id, Ticket(2));
        assert!(memory.bound(id).is_none());
        assert_eq!(memory.locked_bytes, 0);
    }
}
