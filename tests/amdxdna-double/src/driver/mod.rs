//! The driver's state, and the calls that come through the node.
//!
//! One lock guards all of it, as the kernel driver's `dev_lock` does; a worker thread is the firmware.

mod addresses;
mod client;
mod command;
mod contexts;
mod info;
mod launch;
mod objects;
mod syncobj;
mod worker;

use std::collections::HashMap;
use std::ffi::c_int;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::errno::{Answer, EINVAL, ENODEV, Errno};
use crate::region::Memory;
use crate::settings::Settings;
use crate::sysfs;
pub(crate) use addresses::at_exit;
use client::Client;
use contexts::Contexts;
use syncobj::Syncobjs;
use worker::Queue;

/// Everything behind the lock.
#[derive(Default)]
struct State {
    settings: Settings,
    clients: HashMap<c_int, Client>,
    contexts: Contexts,
    syncobjs: Syncobjs,
    queue: Queue,
    /// Objects that programs map, made since the node was opened.
    objects_made: u64,
    /// Launches begun since the node was opened.
    launches: u64,
    submissions: u64,
    /// Bytes of mappings that are to be locked.
    locked_bytes: u64,
    power_mode: u8,
    force_preempt: u8,
    frame_boundary_preempt: u8,
}

struct Driver {
    state: Mutex<State>,
    /// A command has ended, or there is one to run.
    changed: Condvar,
}

static DRIVER: LazyLock<Driver> =
    LazyLock::new(|| Driver { state: Mutex::default(), changed: Condvar::new() });

/// Descriptors of the node. Apart from the state, because closing any descriptor asks, also under the state's lock.
static NODES: Mutex<Vec<c_int>> = Mutex::new(Vec::new());
/// How many there are; most calls of a program are no concern of a driver that has none.
static OPEN: AtomicUsize = AtomicUsize::new(0);

fn nodes() -> MutexGuard<'static, Vec<c_int>> {
    NODES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Driver {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something has changed.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open descriptor of the node.
pub(crate) struct Node {
    fd: c_int,
}

impl Node {
    /// The node behind a descriptor.
    pub(crate) fn of(fd: c_int) -> Option<Self> {
        let any = fd >= 0 && OPEN.load(Ordering::Acquire) > 0;
        (any && nodes().contains(&fd)).then_some(Self { fd })
    }

    /// Opens the node.
    pub(crate) fn open() -> Answer<c_int> {
        let settings = Settings::read().map_err(|why| {
            use std::io::Write;
            writeln!(std::io::stderr(), "amdxdna-double: {why}; its words are listed in src/settings.rs")
                .ok();
            EINVAL
        })?;
        if settings.no_node {
            return Err(Errno(libc::ENOENT));
        }
        if settings.deny_open {
            return Err(Errno(libc::EACCES));
        }
        // Something to have a descriptor of.
        let fd = Memory::new(4096, false)?.duplicate()?.into_raw_fd();
        let mut state = DRIVER.lock();
        if state.clients.is_empty() {
            state.settings = settings;
            (state.objects_made, state.launches, state.submissions) = (0, 0, 0);
            state.contexts.start_counting();
            sysfs::restore();
        }
        state.clients.insert(fd, Client::default());
        nodes().push(fd);
        OPEN.fetch_add(1, Ordering::Release);
        Ok(fd)
    }

    /// Gives back all that the program has through this descriptor.
    pub(crate) fn close(&self) {
        let mut state = DRIVER.lock();
        state.drop_contexts_of(self.fd);
        if let Some(client) = state.clients.remove(&self.fd) {
            client.drop_objects();
            nodes().retain(|&fd| fd != self.fd);
            OPEN.fetch_sub(1, Ordering::Release);
        }
        drop(state);
        DRIVER.changed.notify_all();
    }

    /// The state, with this client in it and the device there.
    fn state(&self) -> Answer<MutexGuard<'static, State>> {
        let state = DRIVER.lock();
        match state.clients.get(&self.fd) {
            Some(client) if !client.gone => Ok(state),
            _ => Err(ENODEV),
        }
    }

    /// The memory behind an offset of the node, for `len` bytes.
    ///
    /// # Errors
    /// EINVAL if no object has that offset or it is shorter; EAGAIN over the limit on locked memory.
    pub(crate) fn mapping(&self, offset: i64, len: usize, locked: bool) -> Answer<Mapped> {
        let mut state = self.state()?;
        let client = state.clients.get(&self.fd).ok_or(ENODEV)?;
        let memory = client.memory_at_offset(offset).ok_or(EINVAL)?;
        if len > memory.len() {
            return Err(EINVAL);
        }
        let locked_bytes = if locked { len as u64 } else { 0 };
        if state.settings.memlock_bytes.is_some_and(|limit| state.locked_bytes + locked_bytes > limit) {
            return Err(crate::errno::EAGAIN);
        }
        state.locked_bytes += locked_bytes;
        Ok(Mapped { memory, locked_bytes })
    }

    /// The mapping stands at `address`.
    pub(crate) fn mapped(&self, mapped: &Mapped, address: u64, len: usize) {
        addresses::insert(address, len, &mapped.memory, mapped.locked_bytes);
    }

    /// The mapping could not be made.
    pub(crate) fn unmapped(&self, mapped: &Mapped, _len: usize) {
        DRIVER.lock().locked_bytes -= mapped.locked_bytes;
    }

    /// The program takes a range of its addresses away.
    pub(crate) fn forget_mapping(address: u64, len: usize) {
        let unlocked = addresses::remove(address, len);
        if unlocked > 0 {
            let mut state = DRIVER.lock();
            state.locked_bytes = state.locked_bytes.saturating_sub(unlocked);
        }
    }
}

/// What a mapping shows.
pub(crate) struct Mapped {
    memory: Arc<Memory>,
    locked_bytes: u64,
}

impl Mapped {
    pub(crate) fn fd(&self) -> c_int {
        self.memory.fd()
    }
}

impl State {
    fn client(&mut self, fd: c_int) -> Answer<&mut Client> {
        self.clients.get_mut(&fd).ok_or(ENODEV)
    }

    /// The device goes away: from now on every call of those who have it open fails.
    fn vanish(&mut self) {
        self.clients.values_mut().for_each(|client| client.gone = true);
        sysfs::remove();
    }
}

/// `fd` as another descriptor of the same file, for the program to keep.
fn hand_out(fd: impl AsRawFd + IntoRawFd) -> c_int {
    fd.into_raw_fd()
}
