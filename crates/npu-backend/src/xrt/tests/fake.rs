//! A scripted implementation of the shim's table: launches of the probe image, memory of two sides, and what may go wrong.
//!
//! Everything is of one thread: each test runs in its own.
#![allow(unsafe_code, reason = "implements a C interface")]

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::rc::Rc;

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
    /// Error number that opening the device answers.
    pub(super) open: Option<i32>,
    /// Memory bank of each buffer argument, if not 0.
    pub(super) banks: BTreeMap<u32, u32>,
    /// Waits that expire before one ends.
    pub(super) slow: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Handles that are open.
    pub(super) live: i64,
    pub(super) contexts: u64,
    pub(super) runs_made: u64,
    pub(super) launches: u64,
    pub(super) submissions: u64,
    pub(super) longest_chain: u64,
    pub(super) waits: u64,
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
    static SEEN: Cell<Seen> = Cell::default();
    static OPEN_CONTEXTS: Cell<u32> = const { Cell::new(0) };
}

/// The shim of this thread, with a script.
pub(super) fn shim(script: Script) -> Shim {
    let name = if script.name.is_empty() { "RyzenAI-npu1".to_owned() } else { script.name.clone() };
    SCRIPT.set(Script { name, ..script });
    SEEN.set(Seen::default());
    Shim::of(&TABLE)
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
    note(|seen| seen.waits += 1);
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

unsafe extern "C" fn device_open(
    _: u32,
    out: *mut *mut xrt_shim_device,
    error: *mut xrt_shim_error,
) -> xrt_shim_status {
    match SCRIPT.with_borrow(|script| script.open) {
        Some(errno) => fail(error, XRT_SHIM_CAUSE_SYSTEM, errno, 0),
        None => give(out, ()),
    }
}

unsafe extern "C" fn device_name(
    _: *mut xrt_shim_device,
    out: *mut c_char,
    len: usize,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    let name = SCRIPT.with_borrow(|script| script.name.clone());
    // SAFETY: the caller's array has `len` bytes.
    let to = unsafe { std::slice::from_raw_parts_mut(out, len) };
    for (to, from) in to.iter_mut().zip(name.bytes().chain([0])) {
        *to = c_char::from_ne_bytes([from]);
    }
    XRT_SHIM_OK
}

unsafe extern "C" fn xclbin_open(
    _: *const c_void,
    _: usize,
    out: *mut *mut xrt_shim_xclbin,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    give(out, ())
}

unsafe extern "C" fn xclbin_register(
    _: *mut xrt_shim_xclbin,
    _: *mut xrt_shim_device,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    XRT_SHIM_OK
}

unsafe extern "C" fn context_open(
    _: *mut xrt_shim_device,
    _: *mut xrt_shim_xclbin,
    out: *mut *mut xrt_shim_context,
    error: *mut xrt_shim_error,
) -> xrt_shim_status {
    if OPEN_CONTEXTS.get() == 6 {
        return fail(error, XRT_SHIM_CAUSE_SYSTEM, 22, 0);
    }
    OPEN_CONTEXTS.set(OPEN_CONTEXTS.get() + 1);
    note(|seen| seen.contexts += 1);
    give(out, ())
}

unsafe extern "C" fn context_close(context: *mut xrt_shim_context) {
    OPEN_CONTEXTS.set(OPEN_CONTEXTS.get() - 1);
    take::<(), _>(context);
}

unsafe extern "C" fn kernel_open(
    _: *mut xrt_shim_context,
    _: *mut xrt_shim_xclbin,
    _: *const c_char,
    out: *mut *mut xrt_shim_kernel,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    give(out, ())
}

unsafe extern "C" fn kernel_group_id(
    _: *mut xrt_shim_kernel,
    argument: u32,
    out: *mut u32,
    error: *mut xrt_shim_error,
) -> xrt_shim_status {
    let bank = match argument {
        0 | 2 => 0xFFFF,
        1 => 1,
        3..8 => SCRIPT.with_borrow(|script| script.banks.get(&argument).copied().unwrap_or(0)),
        _ => return fail(error, XRT_SHIM_CAUSE_RUNTIME, 0, 0),
    };
    // SAFETY: the caller gives a pointer to a local.
    unsafe { *out = 0x1_0000 | bank };
    XRT_SHIM_OK
}

unsafe extern "C" fn bo_create(
    _: *mut xrt_shim_device,
    len: usize,
    memory: u32,
    group: u32,
    out: *mut *mut xrt_shim_bo,
    error: *mut xrt_shim_error,
) -> xrt_shim_status {
    // Instructions in bank 1 on the heap, data in bank 0; what is neither is a mistake of the caller.
    let right =
        [(XRT_SHIM_MEMORY_CACHEABLE, 1), (XRT_SHIM_MEMORY_HOST, 0)].contains(&(memory, group & 0xFFFF));
    if !right || len > 1 << 30 {
        return fail(error, XRT_SHIM_CAUSE_SYSTEM, if right { 12 } else { 22 }, 0);
    }
    // Rubbish on both sides: nobody promises zeros.
    give(
        out,
        Rc::new(Memory { host: UnsafeCell::new(vec![0xEE; len]), device: RefCell::new(vec![0xDD; len]) }),
    )
}

unsafe extern "C" fn bo_map(
    bo: *mut xrt_shim_bo,
    out: *mut *mut c_void,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    let memory: &mut Rc<Memory> = at(bo);
    // SAFETY: the vector is never resized, so its memory stays; the caller gives a pointer to a local.
    unsafe { *out = (*memory.host.get()).as_mut_ptr().cast::<c_void>() };
    XRT_SHIM_OK
}

unsafe extern "C" fn bo_sync(
    bo: *mut xrt_shim_bo,
    direction: u32,
    offset: usize,
    len: usize,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    let memory: &mut Rc<Memory> = at(bo);
    let mut device = memory.device.borrow_mut();
    // SAFETY: no reference to the host's side lives while the device's owner calls this.
    let host = unsafe { &mut *memory.host.get() };
    let range = offset..offset + len;
    if direction == XRT_SHIM_TO_DEVICE {
        device[range.clone()].copy_from_slice(&host[range]);
    } else {
        host[range.clone()].copy_from_slice(&device[range]);
    }
    XRT_SHIM_OK
}

unsafe extern "C" fn run_create(
    _: *mut xrt_shim_kernel,
    out: *mut *mut xrt_shim_run,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    note(|seen| seen.runs_made += 1);
    give(out, Rc::new(Command::default()))
}

fn set(run: *mut xrt_shim_run, argument: u32, value: u64) -> xrt_shim_status {
    at::<Rc<Command>, _>(run).scalars.borrow_mut().insert(argument, value);
    XRT_SHIM_OK
}

unsafe extern "C" fn run_set_u32(
    run: *mut xrt_shim_run,
    argument: u32,
    value: u32,
    _: *mut xrt_shim_error,
) -> u32 {
    set(run, argument, value.into())
}

unsafe extern "C" fn run_set_u64(
    run: *mut xrt_shim_run,
    argument: u32,
    value: u64,
    _: *mut xrt_shim_error,
) -> u32 {
    set(run, argument, value)
}

unsafe extern "C" fn run_set_bo(
    run: *mut xrt_shim_run,
    argument: u32,
    bo: *mut xrt_shim_bo,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    let memory: &mut Rc<Memory> = at(bo);
    at::<Rc<Command>, _>(run).buffers.borrow_mut().insert(argument, Rc::clone(memory));
    XRT_SHIM_OK
}

unsafe extern "C" fn run_start(run: *mut xrt_shim_run, error: *mut xrt_shim_error) -> xrt_shim_status {
    if !admitted(error, 1) {
        return XRT_SHIM_FAILED;
    }
    launch(at::<Rc<Command>, _>(run));
    XRT_SHIM_OK
}

unsafe extern "C" fn run_wait(
    run: *mut xrt_shim_run,
    timeout_ns: u64,
    error: *mut xrt_shim_error,
) -> xrt_shim_status {
    waited(timeout_ns, at::<Rc<Command>, _>(run).state.get(), 0, error)
}

unsafe extern "C" fn runlist_create(
    _: *mut xrt_shim_context,
    out: *mut *mut xrt_shim_runlist,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    give(out, List { commands: Vec::new(), failed: None })
}

unsafe extern "C" fn runlist_add(
    list: *mut xrt_shim_runlist,
    run: *mut xrt_shim_run,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    at::<List, _>(list).commands.push(Rc::clone(at::<Rc<Command>, _>(run)));
    XRT_SHIM_OK
}

unsafe extern "C" fn runlist_execute(
    list: *mut xrt_shim_runlist,
    error: *mut xrt_shim_error,
) -> xrt_shim_status {
    let list: &mut List = at(list);
    if !admitted(error, list.commands.len() as u64) {
        return XRT_SHIM_FAILED;
    }
    list.failed = list.commands.iter().position(|command| launch(command) != COMPLETED);
    XRT_SHIM_OK
}

unsafe extern "C" fn runlist_wait(
    list: *mut xrt_shim_runlist,
    timeout_ns: u64,
    error: *mut xrt_shim_error,
) -> xrt_shim_status {
    let list: &mut List = at(list);
    let end = list.failed.map_or(COMPLETED, |index| list.commands[index].state.get());
    waited(timeout_ns, end, list.failed.unwrap_or(0), error)
}

/// Closes a handle whose value has this type.
macro_rules! closing {
    ($($name:ident: $handle:ty => $value:ty;)*) => {
        $(unsafe extern "C" fn $name(handle: *mut $handle) {
            take::<$value, _>(handle);
        })*
    };
}

closing! {
    device_close: xrt_shim_device => ();
    xclbin_close: xrt_shim_xclbin => ();
    kernel_close: xrt_shim_kernel => ();
    bo_close: xrt_shim_bo => Rc<Memory>;
    run_close: xrt_shim_run => Rc<Command>;
    runlist_close: xrt_shim_runlist => List;
}

static TABLE: xrt_shim_api = xrt_shim_api {
    abi: XRT_SHIM_ABI,
    size_bytes: 0,
    device_open: Some(device_open),
    device_name: Some(device_name),
    device_close: Some(device_close),
    xclbin_open: Some(xclbin_open),
    xclbin_register: Some(xclbin_register),
    xclbin_close: Some(xclbin_close),
    context_open: Some(context_open),
    context_close: Some(context_close),
    kernel_open: Some(kernel_open),
    kernel_group_id: Some(kernel_group_id),
    kernel_close: Some(kernel_close),
    bo_create: Some(bo_create),
    bo_create_part: None,
    bo_map: Some(bo_map),
    bo_sync: Some(bo_sync),
    bo_close: Some(bo_close),
    run_create: Some(run_create),
    run_set_u32: Some(run_set_u32),
    run_set_u64: Some(run_set_u64),
    run_set_bo: Some(run_set_bo),
    run_start: Some(run_start),
    run_wait: Some(run_wait),
    run_close: Some(run_close),
    runlist_create: Some(runlist_create),
    runlist_add: Some(runlist_add),
    runlist_execute: Some(runlist_execute),
    runlist_wait: Some(runlist_wait),
    runlist_close: Some(runlist_close),
};
