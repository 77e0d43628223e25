//! A scripted implementation of the shim's table: launches of the probe image, memory of two sides, and what may go wrong.
//!
//! Everything is of one thread: each test runs in its own.
#![allow(unsafe_code, reason = "implements a C interface")]

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::BTreeMap;
use std::ffi::c_char;
use std::rc::Rc;

mod table;

use super::super::bindings::*;
use super::super::library::Shim;
use crate::emulator::probe;

/// What a device is made to do.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) name: String,
    /// Command states that launches end with, by number.
    pub(super) ends: BTreeMap<u64, i32>,
    /// Error numbers that starting a submission answers, by number of the submission.
    pub(super) refusals: BTreeMap<u64, i32>,
    /// Index of the first device that is no card.
    pub(super) first_npu: u32,
    /// Error number that opening the device answers.
    pub(super) open: Option<i32>,
    /// Memory bank of each buffer argument, if not 0.
    pub(super) banks: BTreeMap<u32, u32>,
    /// Waits that expire before one ends.
    pub(super) slow: u64,
    /// Waits that fail, by number: cause and code.
    pub(super) waits: BTreeMap<u64, (u32, i32)>,
    /// Error numbers that making contexts and buffer objects answers, by number.
    pub(super) context_fails: BTreeMap<u64, i32>,
    pub(super) bo_fails: BTreeMap<u64, i32>,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Handles that are open.
    pub(super) live: i64,
    /// Asked for, as the next one.
    pub(super) contexts: u64,
    pub(super) bos: u64,
    pub(super) runs_made: u64,
    pub(super) launches: u64,
    pub(super) submissions: u64,
    pub(super) longest_chain: u64,
    pub(super) waits: u64,
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
    static SEEN: Cell<Seen> = Cell::default();
    /// Whether the device opened last is an NPU.
    static FOUND: Cell<bool> = const { Cell::new(true) };
    static OPEN_CONTEXTS: Cell<u32> = const { Cell::new(0) };
}

/// The shim of this thread, with a script.
pub(super) fn shim(script: Script) -> Shim {
    let name = if script.name.is_empty() { "RyzenAI-npu1".to_owned() } else { script.name.clone() };
    SCRIPT.set(Script { name, ..script });
    SEEN.set(Seen::default());
    Shim::of(&table::TABLE)
}

pub(super) fn seen() -> Seen {
    SEEN.get()
}

/// Changes the script of an open device.
pub(super) fn rewrite(change: impl FnOnce(&mut Script)) {
    SCRIPT.with_borrow_mut(change);
}

fn note(change: impl FnOnce(&mut Seen)) {
    let mut seen = SEEN.get();
    change(&mut seen);
    SEEN.set(seen);
}

struct Memory {
    host: UnsafeCell<Vec<u8>>,
    device: RefCell<Vec<u8>>,
}

#[derive(Default)]
struct Command {
    scalars: RefCell<BTreeMap<u32, u64>>,
    buffers: RefCell<BTreeMap<u32, Rc<Memory>>>,
    state: Cell<i32>,
}

struct List {
    commands: Vec<Rc<Command>>,
    failed: Option<usize>,
}

const COMPLETED: i32 = 4;

fn give<T, H>(out: *mut *mut H, value: T) -> xrt_shim_status {
    note(|seen| seen.live += 1);
    // SAFETY: callers of the table give a pointer to a local.
    unsafe { *out = Box::into_raw(Box::new(value)).cast::<H>() };
    XRT_SHIM_OK
}

fn take<T, H>(handle: *mut H) {
    if !handle.is_null() {
        note(|seen| seen.live -= 1);
        // SAFETY: made by `give` of the same type, and closed once.
        drop(unsafe { Box::from_raw(handle.cast::<T>()) });
    }
}

fn at<'a, T, H>(handle: *mut H) -> &'a mut T {
    // SAFETY: made by `give` of the same type and not closed yet; used by one caller at a time.
    unsafe { &mut *handle.cast::<T>() }
}

fn fail(error: *mut xrt_shim_error, cause: u32, code: i32, index: u32) -> xrt_shim_status {
    let mut message = [0; 500];
    for (to, from) in message.iter_mut().zip(b"scripted") {
        *to = c_char::from_ne_bytes([*from]);
    }
    // SAFETY: callers of the table give a pointer to a local.
    unsafe { *error = xrt_shim_error { cause, code, index, message } };
    XRT_SHIM_FAILED
}

/// Runs one launch as the device: on its sides of the buffers, by the arguments that the command has.
fn launch(command: &Command) -> i32 {
    let number = SEEN.get().launches;
    note(|seen| seen.launches += 1);
    let planned = SCRIPT.with_borrow(|script| script.ends.get(&number).copied());
    let state = planned.unwrap_or_else(|| compute(command));
    command.state.set(state);
    state
}

fn compute(command: &Command) -> i32 {
    const ERROR: i32 = 5;
    let (scalars, buffers) = (command.scalars.borrow(), command.buffers.borrow());
    let Some(stream) = buffers.get(&1) else { return ERROR };
    let stream = stream.device.borrow();
    let words: Vec<usize> = stream
        .chunks_exact(4)
        .map(|word| usize::try_from(u32::from_le_bytes(word.try_into().unwrap())).unwrap())
        .collect();
    if scalars.get(&0) != Some(&3) || scalars.get(&2) != Some(&4) || words.len() != 4 {
        return ERROR;
    }
    let len = words[2];
    let read = |index: u32| buffers[&(3 + index)].device.borrow()[..len].to_vec();
    let (to, bytes) = match words[1] {
        probe::COPY => (1, read(0)),
        probe::ADD => (2, read(0).iter().zip(read(1)).map(|(a, b)| a.wrapping_add(b)).collect()),
        _ => (0, read(0).iter().map(|byte| byte.wrapping_add(1)).collect::<Vec<u8>>()),
    };
    buffers[&(3 + to)].device.borrow_mut()[..len].copy_from_slice(&bytes);
    COMPLETED
}

/// Whether the driver takes the next submission.
fn admitted(error: *mut xrt_shim_error, commands: u64) -> bool {
    let number = SEEN.get().submissions;
    note(|seen| {
        seen.submissions += 1;
        seen.longest_chain = seen.longest_chain.max(commands);
    });
    let refusal = SCRIPT.with_borrow(|script| script.refusals.get(&number).copied());
    refusal.is_none_or(|errno| {
        fail(error, XRT_SHIM_CAUSE_SYSTEM, errno, 0);
        false
    })
}

fn waited(timeout_ns: u64, end: i32, index: usize, error: *mut xrt_shim_error) -> xrt_shim_status {
    let number = SEEN.get().waits;
    note(|seen| seen.waits += 1);
    if let Some((cause, code)) = SCRIPT.with_borrow(|script| script.waits.get(&number).copied()) {
        return fail(error, cause, code, 0);
    }
    let expires = SCRIPT.with_borrow_mut(|script| {
        let expires = script.slow > 0;
        script.slow = script.slow.saturating_sub(1);
        expires
    });
    if expires && timeout_ns != u64::MAX {
        return XRT_SHIM_EXPIRED;
    }
    if end == COMPLETED {
        return XRT_SHIM_OK;
    }
    // A number that is no command state stands for an error of the system.
    if end < 0 {
        return fail(error, XRT_SHIM_CAUSE_SYSTEM, -end, 0);
    }
    fail(error, XRT_SHIM_CAUSE_COMMAND, end, u32::try_from(index).unwrap())
}
