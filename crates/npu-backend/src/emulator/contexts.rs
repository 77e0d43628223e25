//! Hardware contexts: loaded images, their slots, their instruction streams on the device heap.

use std::collections::BTreeMap;

use crate::device::{KernelEntry, ids};
use crate::emulator::executor::Loaded;
use crate::emulator::memory::HeapBlock;
use crate::{ContextId, Error, Result};

/// One context.
pub(super) struct Context {
    /// From 1; freed slots are used again.
    pub(super) slot: u8,
    pub(super) loaded: Loaded,
    /// The image's own bytes, which streams added later are checked against.
    pub(super) configuration: Vec<u8>,
    pub(super) entries: Vec<KernelEntry>,
    pub(super) streams: Vec<HeapBlock>,
}

/// Those of one device.
pub(super) struct Contexts {
    limit: usize,
    table: BTreeMap<ContextId, Context>,
}

impl Contexts {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, table: BTreeMap::new() }
    }

    /// A slot for one more: the firmware has so many and no more (XDNA:npu1_regs.c:105; create fails with EINVAL).
    pub(super) fn free_slot(&self) -> Result<u8> {
        let free = |slot: &u8| self.table.values().all(|context| context.slot != *slot);
        let last = u8::try_from(self.limit).unwrap_or(u8::MAX);
        (1..=last).find(free).ok_or(Error::NoContext { limit: self.limit })
    }

    pub(super) fn insert(&mut self, context: Context) -> ContextId {
        let id = ContextId(ids::fresh());
        self.table.insert(id, context);
        id
    }

    pub(super) fn get(&self, id: ContextId) -> Option<&Context> {
        self.table.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ContextId) -> Option<&mut Context> {
        self.table.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: ContextId) -> Option<Context> {
        self.table.remove(&id)
    }
}
