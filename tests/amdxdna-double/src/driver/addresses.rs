//! Which memory lies at which address of the program: the device uses the program's addresses (PASID), so a command
//! names buffers by where the program has mapped them.
#![allow(unsafe_code, reason = "registers a function with libc")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::region::Memory;

struct Mapping {
    len: usize,
    memory: Arc<Memory>,
    locked_bytes: u64,
}

static MAPPINGS: Mutex<BTreeMap<u64, Mapping>> = Mutex::new(BTreeMap::new());

fn mappings() -> MutexGuard<'static, BTreeMap<u64, Mapping>> {
    MAPPINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `memory` is mapped at `address`.
pub(super) fn insert(address: u64, len: usize, memory: &Arc<Memory>, locked_bytes: u64) {
    mappings().insert(address, Mapping { len, memory: Arc::clone(memory), locked_bytes });
}

/// Nothing is mapped there any more; answers how much of it was locked.
pub(super) fn remove(address: u64, len: usize) -> u64 {
    let mut mappings = mappings();
    if mappings.is_empty() {
        return 0;
    }
    let end = address.saturating_add(len as u64);
    let inside: Vec<u64> = mappings.range(address..end).map(|(start, _)| *start).collect();
    let gone: Vec<Mapping> = inside.iter().filter_map(|start| mappings.remove(start)).collect();
    // The memory may go with it, whose own mapping is another one.
    drop(mappings);
    gone.iter().map(|mapping| mapping.locked_bytes).sum()
}

/// The memory at an address, and how far into it the address points.
pub(super) fn find(address: u64) -> Option<(Arc<Memory>, usize)> {
    let mappings = mappings();
    let (start, mapping) = mappings.range(..=address).next_back()?;
    let offset = usize::try_from(address - start).ok()?;
    (offset < mapping.len).then(|| (Arc::clone(&mapping.memory), offset))
}

/// Calls a function when the program ends by itself.
pub(crate) fn at_exit(call: extern "C" fn()) {
    // SAFETY: a function without arguments that stays where it is; without room for it nothing is called.
    unsafe { libc::atexit(call) };
}
