//! What one descriptor of the node has: buffer objects by handle, and the device heap.

use std::collections::HashMap;
use std::sync::Arc;

use super::addresses;
use super::objects::{Heap, Object};
use super::syncobj::SyncobjId;
use crate::errno::{Answer, ENOENT};
use crate::region::Memory;

#[derive(Default)]
pub(super) struct Client {
    objects: HashMap<u32, Object>,
    last_handle: u32,
    pub(super) heap: Option<Heap>,
    pub(super) syncobjs: HashMap<u32, SyncobjId>,
    last_syncobj: u32,
    /// The device went away while this was open.
    pub(super) gone: bool,
}

/// Offsets by which objects are mapped are far from each other.
const OFFSET_SHIFT: u32 = 36;

impl Client {
    /// Gives an object a handle.
    pub(super) fn insert(&mut self, object: Object) -> u32 {
        self.last_handle += 1;
        self.objects.insert(self.last_handle, object);
        self.last_handle
    }

    pub(super) fn object(&self, handle: u32) -> Answer<&Object> {
        self.objects.get(&handle).ok_or(ENOENT)
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = (u32, &Object)> {
        self.objects.iter().map(|(handle, object)| (*handle, object))
    }

    /// Closes a handle.
    pub(super) fn remove(&mut self, handle: u32) -> Answer<Object> {
        let object = self.objects.remove(&handle).ok_or(crate::errno::EINVAL)?;
        self.release(&object);
        Ok(object)
    }

    fn release(&mut self, object: &Object) {
        match object {
            Object::Device { start, len } => {
                if let Some(heap) = &mut self.heap {
                    heap.free(*start, *len);
                }
            }
            Object::Shared { user_address: Some(address), memory, .. } => {
                addresses::remove(*address, memory.len());
            }
            Object::Shared { .. } => (),
        }
    }

    /// All at once, when the descriptor is closed.
    pub(super) fn drop_objects(mut self) {
        let objects = std::mem::take(&mut self.objects);
        objects.values().for_each(|object| self.release(object));
    }

    /// The offset by which the program maps an object.
    pub(super) fn map_offset(handle: u32) -> u64 {
        u64::from(handle) << OFFSET_SHIFT
    }

    pub(super) fn memory_at_offset(&self, offset: i64) -> Option<Arc<Memory>> {
        let offset = u64::try_from(offset).ok()?;
        let handle = u32::try_from(offset >> OFFSET_SHIFT).ok()?;
        let shared = self.objects.get(&handle)?.shared()?;
        (offset == Self::map_offset(handle)).then(|| Arc::clone(shared))
    }

    /// Memory at an address as a command has it: in the heap, or where the program maps an object.
    pub(super) fn reach(&self, address: u64) -> Option<(Arc<Memory>, usize)> {
        match &self.heap {
            Some(heap) if heap.holds(address) => Some(heap.reach(address)),
            _ => addresses::find(address),
        }
    }

    /// Gives a syncobj a handle.
    pub(super) fn insert_syncobj(&mut self, id: SyncobjId) -> u32 {
        self.last_syncobj += 1;
        self.syncobjs.insert(self.last_syncobj, id);
        self.last_syncobj
    }
}
