//! The functions of the scripted table.

use std::cell::{RefCell, UnsafeCell};
use std::ffi::{c_char, c_void};
use std::rc::Rc;

use super::super::super::bindings::*;
use super::{
    COMPLETED, Command, FOUND, List, Memory, OPEN_CONTEXTS, SCRIPT, SEEN, admitted, at, fail, give, launch,
    note, take, waited,
};

unsafe extern "C" fn device_open(
    index: u32,
    out: *mut *mut xrt_shim_device,
    error: *mut xrt_shim_error,
) -> xrt_shim_status {
    let (open, first) = SCRIPT.with_borrow(|script| (script.open, script.first_npu));
    FOUND.set(index >= first);
    match open {
        Some(errno) if index >= first => fail(error, XRT_SHIM_CAUSE_SYSTEM, errno, 0),
        _ => give(out, ()),
    }
}

unsafe extern "C" fn device_name(
    _: *mut xrt_shim_device,
    out: *mut c_char,
    len: usize,
    _: *mut xrt_shim_error,
) -> xrt_shim_status {
    let name =
        if FOUND.get() { SCRIPT.with_borrow(|script| script.name.clone()) } else { "xilinx_u250".into() };
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
    let number = SEEN.get().contexts;
    note(|seen| seen.contexts += 1);
    if let Some(errno) = SCRIPT.with_borrow(|script| script.context_fails.get(&number).copied()) {
        return fail(error, XRT_SHIM_CAUSE_SYSTEM, errno, 0);
    }
    if OPEN_CONTEXTS.get() == 6 {
        return fail(error, XRT_SHIM_CAUSE_SYSTEM, 22, 0);
    }
    OPEN_CONTEXTS.set(OPEN_CONTEXTS.get() + 1);
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
    let number = SEEN.get().bos;
    note(|seen| seen.bos += 1);
    if let Some(errno) = SCRIPT.with_borrow(|script| script.bo_fails.get(&number).copied()) {
        return fail(error, XRT_SHIM_CAUSE_SYSTEM, errno, 0);
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

/// The fake's commands end at once.
unsafe extern "C" fn run_give_up(_: *mut xrt_shim_run) {}

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

pub(super) static TABLE: xrt_shim_api = xrt_shim_api {
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
    run_give_up: Some(run_give_up),
    run_close: Some(run_close),
    runlist_create: Some(runlist_create),
    runlist_add: Some(runlist_add),
    runlist_execute: Some(runlist_execute),
    runlist_wait: Some(runlist_wait),
    runlist_close: Some(runlist_close),
};
