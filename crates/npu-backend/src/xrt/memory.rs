//! The buffers of a device, and which unfinished tickets use them.
//!
//! A buffer object is made for a memory bank, and only a loaded image says which bank its data lies in. Buffers made before
//! the first image wait in plain memory and are moved when it is loaded; until then no launch could have seen them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::failure::Failure;
use super::handles::{Accelerator, Bo, Direction, Kind};
use crate::device::ids;
use crate::{Buffer, BufferId, BufferRole, ContextId, Error, Result, Ticket};

/// What an unfinished ticket does with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) ticket: Ticket,
    pub(super) context: ContextId,
    pub(super) writes: bool,
}

/// Where a buffer's host side is.
enum Place {
    /// Until the first image is loaded.
    Waiting(Vec<u8>),
    Device(Bo),
}

/// One buffer.
pub(super) struct Object {
    pub(super) len_bytes: usize,
    pub(super) role: BufferRole,
    pub(super) uses: Vec<Use>,
    place: Place,
    /// Freed by its owner; goes with its last use.
    freed: bool,
}

impl Object {
    pub(super) fn host(&self) -> &[u8] {
        match &self.place {
            Place::Waiting(bytes) => bytes,
            Place::Device(bo) => bo.host(),
        }
    }

    pub(super) fn host_mut(&mut self) -> &mut [u8] {
        match &mut self.place {
            Place::Waiting(bytes) => bytes,
            Place::Device(bo) => bo.host_mut(),
        }
    }

    /// The buffer object, once there is one.
    pub(super) fn bo(&self) -> Option<&Bo> {
        match &self.place {
            Place::Waiting(_) => None,
            Place::Device(bo) => Some(bo),
        }
    }

    /// Makes one side of a range equal the other. Before there is a device's side, that is nothing to do: all is given to it
    /// when it is made.
    pub(super) fn sync(
        &self,
        direction: Direction,
        range: &Range<usize>,
    ) -> std::result::Result<(), Failure> {
        match &self.place {
            Place::Waiting(_) => Ok(()),
            Place::Device(bo) => bo.sync(direction, range.start, range.len()),
        }
    }

    /// A device's side, equal to the host's, if there is none yet.
    fn on_device(&self, device: &Accelerator, group: u32) -> Result<Option<Bo>> {
        let Place::Waiting(bytes) = &self.place else { return Ok(None) };
        let mut bo = create(device, self.len_bytes, group)?;
        bo.host_mut().copy_from_slice(bytes);
        bo.sync(Direction::ToDevice, 0, self.len_bytes)
            .map_err(|failure| failure.of_alloc(self.len_bytes))?;
        Ok(Some(bo))
    }
}

fn create(device: &Accelerator, len_bytes: usize, group: u32) -> Result<Bo> {
    Bo::create(device, len_bytes, Kind::Host, group).map_err(|failure| failure.of_alloc(len_bytes))
}

/// Those of one device.
#[derive(Default)]
pub(super) struct Memory {
    objects: BTreeMap<BufferId, Object>,
    /// Where data lies, as the first loaded image says.
    group: Option<u32>,
}

impl Memory {
    /// Where data lies: the memory group that launches' buffers are made for.
    pub(super) fn group(&self) -> Option<u32> {
        self.group
    }

    /// Data lies in `group` from now on. Moves what has waited for that: all of it, or nothing.
    pub(super) fn settle(&mut self, device: &Accelerator, group: u32) -> Result<()> {
        let made: Result<Vec<_>> =
            self.objects.values().map(|object| object.on_device(device, group)).collect();
        for (object, bo) in self.objects.values_mut().zip(made?) {
            if let Some(bo) = bo {
                object.place = Place::Device(bo);
            }
        }
        self.group = Some(group);
        Ok(())
    }

    pub(super) fn alloc(
        &mut self,
        device: &Accelerator,
        len_bytes: usize,
        role: BufferRole,
    ) -> Result<Buffer> {
        /// No machine maps more, and XRT rounds lengths up without looking whether they overflow.
        const MOST_BYTES: usize = 1 << 46;
        let refuse = |why: &str| Err(Error::Alloc { len_bytes, why: why.into() });
        if len_bytes == 0 {
            return refuse("a buffer has at least one byte");
        }
        if len_bytes > MOST_BYTES {
            return refuse("no machine has so much memory");
        }
        let place = match self.group {
            Some(group) => {
                let mut bo = create(device, len_bytes, group)?;
                // The driver gives zeros, but XRT does not promise it.
                bo.host_mut().fill(0);
                bo.sync(Direction::ToDevice, 0, len_bytes).map_err(|failure| failure.of_alloc(len_bytes))?;
                Place::Device(bo)
            }
            None => {
                let mut bytes = Vec::new();
                if bytes.try_reserve_exact(len_bytes).is_err() {
                    return refuse("this machine has not so much memory");
                }
                bytes.resize(len_bytes, 0);
                Place::Waiting(bytes)
            }
        };
        let id = BufferId(ids::fresh());
        self.objects.insert(id, Object { len_bytes, role, uses: Vec::new(), place, freed: false });
        Ok(Buffer::new(id, len_bytes, role))
    }

    /// Frees now, or when the last use ends.
    pub(super) fn free(&mut self, id: BufferId) -> Result<()> {
        self.object_mut(id)?.freed = true;
        self.reap(id);
        Ok(())
    }

    fn reap(&mut self, id: BufferId) {
        if self.objects.get(&id).is_some_and(|object| object.freed && object.uses.is_empty()) {
            self.objects.remove(&id);
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

    /// The buffer to sync `range` of; `None` if there is nothing to do.
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
}
