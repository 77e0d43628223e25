//! Buffer objects: creation, information, sync, sharing (XDNA:drivers/accel/amdxdna/amdxdna_gem.c).

use std::sync::Arc;

use super::client::Client;
use super::{Node, State, addresses, hand_out};
use crate::abi::{self, CreateBo, GemClose, GetBoInfo, INVALID_ADDR, PrimeHandle, SyncBo, VaEntry, VaTable};
use crate::errno::{Answer, EAGAIN, EINVAL, ENOMEM, ENOSPC, EOPNOTSUPP};
use crate::region::{self, Memory};
use crate::user;

/// Where the device sees its heap (AIE2_DEVM_BASE), and how long the heap is and may become (npu1_regs.c).
const HEAP_BASE: u64 = 0x400_0000;
const HEAP_BYTES: usize = 64 << 20;
/// Objects in the heap lie on such boundaries (npu1_regs.c: dev_mem_buf_shift).
const HEAP_GRANULE: usize = 32 << 10;
const PAGE: u64 = 4096;

pub(super) enum Object {
    /// Pages of its own: shared data, commands, the heap.
    Shared {
        kind: u32,
        memory: Arc<Memory>,
        /// For a user pointer: where the program has it.
        user_address: Option<u64>,
    },
    /// A part of the heap.
    Device { start: usize, len: usize },
}

impl Object {
    pub(super) fn shared(&self) -> Option<&Arc<Memory>> {
        match self {
            Self::Shared { memory, .. } => Some(memory),
            Self::Device { .. } => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Shared { memory, .. } => memory.len(),
            Self::Device { len, .. } => *len,
        }
    }

    pub(super) fn kind(&self) -> u32 {
        match self {
            Self::Shared { kind, .. } => *kind,
            Self::Device { .. } => abi::bo::DEV,
        }
    }
}

/// The device heap: instruction streams and array configurations.
pub(super) struct Heap {
    memory: Arc<Memory>,
    /// Start and length of what is taken, sorted.
    taken: Vec<(usize, usize)>,
}

impl Heap {
    pub(super) fn new(memory: Arc<Memory>) -> Self {
        Self { memory, taken: Vec::new() }
    }

    /// The smallest gap that `len` bytes fit into.
    pub(super) fn alloc(&mut self, len: usize) -> Answer<usize> {
        let len = len.next_multiple_of(HEAP_GRANULE);
        let ends = std::iter::once(0).chain(self.taken.iter().map(|(start, len)| start + len));
        let starts = self.taken.iter().map(|(start, _)| *start).chain([self.memory.len()]);
        let gaps = ends.zip(starts).filter(|(end, start)| start - end >= len);
        let (start, _) = gaps.min_by_key(|(end, start)| start - end).ok_or(ENOSPC)?;
        let place = self.taken.partition_point(|(taken, _)| *taken < start);
        self.taken.insert(place, (start, len));
        Ok(start)
    }

    pub(super) fn free(&mut self, start: usize, _len: usize) {
        self.taken.retain(|(taken, _)| *taken != start);
    }

    pub(super) fn taken_bytes(&self) -> u64 {
        self.taken.iter().map(|(_, len)| *len as u64).sum()
    }

    pub(super) fn holds(&self, address: u64) -> bool {
        (HEAP_BASE..HEAP_BASE + self.memory.len() as u64).contains(&address)
    }

    /// The memory at an address that this holds.
    pub(super) fn reach(&self, address: u64) -> (Arc<Memory>, usize) {
        (Arc::clone(&self.memory), usize::try_from(address - HEAP_BASE).unwrap_or(usize::MAX))
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }
}

impl State {
    fn new_memory(&mut self, len: u64) -> Answer<Arc<Memory>> {
        let number = self.objects_made;
        self.objects_made += 1;
        if self.settings.bo_fails == Some(number) {
            return Err(ENOMEM);
        }
        let len = page_rounded(len)?;
        Ok(Arc::new(Memory::new(len, self.settings.two_copies)?))
    }

    fn user_pointer(&mut self, table: u64) -> Answer<Object> {
        let head: VaTable = user::read(table)?;
        if head.num_entries != 1 {
            // Several pieces, or a dmabuf: XRT asks for neither.
            return Err(EOPNOTSUPP);
        }
        let entry: VaEntry = user::read(table + size_of::<VaTable>() as u64)?;
        if !entry.vaddr.is_multiple_of(PAGE) || entry.len == 0 {
            return Err(EINVAL);
        }
        let len = page_rounded(entry.len)?;
        let memory = Arc::new(Memory::of_pointer(entry.vaddr, len, self.settings.two_copies)?);
        addresses::insert(entry.vaddr, len, &memory, 0);
        Ok(Object::Shared { kind: abi::bo::SHARE, memory, user_address: Some(entry.vaddr) })
    }
}

impl Node {
    pub(crate) fn create_bo(&self, argument: &mut CreateBo) -> Answer {
        let mut state = self.state()?;
        if argument.flags != 0 {
            return Err(EINVAL);
        }
        let object = match argument.kind {
            abi::bo::SHARE | abi::bo::CMD if argument.vaddr != 0 => state.user_pointer(argument.vaddr)?,
            kind @ (abi::bo::SHARE | abi::bo::CMD) => {
                Object::Shared { kind, memory: state.new_memory(argument.size)?, user_address: None }
            }
            abi::bo::DEV_HEAP => {
                if argument.size == 0 || !argument.size.is_multiple_of(HEAP_BYTES as u64) {
                    return Err(EINVAL);
                }
                // One chunk is all that this generation may have.
                if state.client(self.fd)?.heap.is_some() || argument.size > HEAP_BYTES as u64 {
                    return Err(ENOSPC);
                }
                let memory = state.new_memory(argument.size)?;
                state.client(self.fd)?.heap = Some(Heap::new(Arc::clone(&memory)));
                Object::Shared { kind: abi::bo::DEV_HEAP, memory, user_address: None }
            }
            abi::bo::DEV => {
                let len = page_rounded(argument.size)?;
                if len > HEAP_BYTES {
                    return Err(EINVAL);
                }
                let heap = state.client(self.fd)?.heap.as_mut().ok_or(EAGAIN)?;
                Object::Device { start: heap.alloc(len)?, len }
            }
            _ => return Err(EINVAL),
        };
        argument.handle = state.client(self.fd)?.insert(object);
        Ok(())
    }

    pub(crate) fn bo_info(&self, argument: &mut GetBoInfo) -> Answer {
        let mut state = self.state()?;
        if argument.ext != 0 || argument.ext_flags != 0 {
            return Err(EINVAL);
        }
        let object = state.client(self.fd)?.object(argument.handle)?;
        // The device uses the program's addresses, which do not stand before the program has mapped the object.
        (argument.vaddr, argument.xdna_addr) = (INVALID_ADDR, INVALID_ADDR);
        argument.map_offset = Client::map_offset(argument.handle);
        match object {
            Object::Device { start, .. } => {
                argument.xdna_addr = HEAP_BASE + *start as u64;
                argument.map_offset = INVALID_ADDR;
            }
            Object::Shared { kind: abi::bo::DEV_HEAP, .. } => argument.xdna_addr = HEAP_BASE,
            Object::Shared { user_address: Some(address), .. } => {
                (argument.vaddr, argument.xdna_addr) = (*address, *address);
                argument.map_offset = INVALID_ADDR;
            }
            Object::Shared { .. } => (),
        }
        Ok(())
    }

    pub(crate) fn sync_bo(&self, argument: &SyncBo) -> Answer {
        let mut state = self.state()?;
        let client = state.client(self.fd)?;
        let object = client.object(argument.handle)?;
        let len = object.len();
        let offset = usize::try_from(argument.offset).map_err(|_| EINVAL)?;
        let size = usize::try_from(argument.size).map_err(|_| EINVAL)?;
        if offset >= len {
            return Err(EINVAL);
        }
        let end = offset.checked_add(size).ok_or(EINVAL)?.min(len);
        let (memory, base) = match object {
            Object::Shared { memory, .. } => (memory, 0),
            Object::Device { start, .. } => (client.heap.as_ref().ok_or(EINVAL)?.memory(), *start),
        };
        // Caches move whole lines.
        const LINE: usize = 64;
        let range = base + offset / LINE * LINE..(base + end.next_multiple_of(LINE)).min(memory.len());
        memory.sync(range, argument.direction == abi::TO_DEVICE);
        Ok(())
    }

    pub(crate) fn close_bo(&self, argument: &GemClose) -> Answer {
        let gone = self.state()?.client(self.fd)?.remove(argument.handle)?;
        // The last reference may unmap memory: not under the lock.
        drop(gone);
        Ok(())
    }

    pub(crate) fn export_bo(&self, argument: &mut PrimeHandle) -> Answer {
        let mut state = self.state()?;
        let object = state.client(self.fd)?.object(argument.handle)?;
        argument.fd = hand_out(object.shared().ok_or(EOPNOTSUPP)?.duplicate()?);
        Ok(())
    }

    pub(crate) fn import_bo(&self, argument: &mut PrimeHandle) -> Answer {
        let mut state = self.state()?;
        let (device, inode, len) = region::identity(argument.fd).ok_or(EINVAL)?;
        let two_copies = state.settings.two_copies;
        let client = state.client(self.fd)?;
        let same = |object: &Object| {
            let known = object.shared().and_then(|memory| region::identity(memory.fd()));
            known.is_some_and(|known| (known.0, known.1) == (device, inode))
        };
        if let Some((handle, _)) = client.objects().find(|(_, object)| same(object)) {
            argument.handle = handle;
            return Ok(());
        }
        if len == 0 {
            return Err(EINVAL);
        }
        let memory = Arc::new(Memory::over(len, region::duplicate(argument.fd)?, two_copies)?);
        argument.handle = client.insert(Object::Shared { kind: abi::bo::SHARE, memory, user_address: None });
        Ok(())
    }
}

fn page_rounded(len: u64) -> Answer<usize> {
    let rounded = len.checked_next_multiple_of(PAGE).filter(|&len| len > 0).ok_or(EINVAL)?;
    usize::try_from(rounded).map_err(|_| EINVAL)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_heap_gives_out_32_kib_pieces_until_it_is_full_and_takes_them_back() {
        let mut heap = Heap::new(Arc::new(Memory::new(HEAP_BYTES, false).unwrap()));
        let starts: Vec<usize> = (0..2048).map(|_| heap.alloc(1).unwrap()).collect();
        assert!(starts.iter().enumerate().all(|(index, start)| *start == index * HEAP_GRANULE));
        assert_eq!((heap.alloc(1), heap.taken_bytes()), (Err(ENOSPC), HEAP_BYTES as u64));
        heap.free(starts[7], 1);
        heap.free(starts[100], 1);
        heap.free(starts[101], 1);
        // The best fit, not the first one.
        assert_eq!(heap.alloc(HEAP_GRANULE + 1), Ok(starts[100]));
        assert_eq!(heap.alloc(HEAP_GRANULE), Ok(starts[7]));
        assert!(heap.holds(HEAP_BASE) && !heap.holds(HEAP_BASE + HEAP_BYTES as u64));
    }

    #[test]
    fn sizes_are_whole_pages_and_none_is_an_error() {
        assert_eq!(page_rounded(1), Ok(4096));
        assert_eq!(page_rounded(4096), Ok(4096));
        assert_eq!(page_rounded(0), Err(EINVAL));
        assert_eq!(page_rounded(u64::MAX), Err(EINVAL));
    }

    #[test]
    fn a_descriptor_tells_whose_memory_it_is() {
        let memory = Memory::new(4096, false).unwrap();
        let copy = memory.duplicate().unwrap();
        assert_eq!(region::identity(copy.as_raw_fd()).unwrap().2, 4096);
    }
}
