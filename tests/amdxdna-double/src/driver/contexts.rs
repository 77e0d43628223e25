//! Hardware contexts and the commands that they take (XDNA:drivers/accel/amdxdna/aie2_ctx.c, amdxdna_ctx.c).

use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::Arc;

use super::command::CommandState;
use super::objects::Object;
use super::syncobj::SyncobjId;
use super::worker::{self, Job};
use super::{DRIVER, Node, State};
use crate::abi::{
    self, ConfigCu, ConfigHwctx, CreateHwctx, CuConfig, DestroyHwctx, ExecCmd, QosInfo, WaitCmd,
};
use crate::errno::{Answer, EINVAL, ENODEV, ENOENT, ENOMEM, EOPNOTSUPP, ETIME, Errno};
use crate::user;

/// Contexts on the device (npu1_regs.c: hwctx_limit).
const MOST_CONTEXTS: usize = 6;
/// Commands of a context that the driver holds; one more waits (aie2_pci.h: HWCTX_MAX_CMDS).
const MOST_IN_FLIGHT: u64 = 4;
/// Heap that the driver takes for a context's chains: a buffer for each command in flight, one granule long.
const CHAIN_BUFFERS: usize = 4;
const CHAIN_BUFFER_BYTES: usize = 4096;
/// Compute units of a context (MAX_NUM_CUS).
const MOST_UNITS: usize = 32;
/// Columns of the array, the first of which has no shim, and cores in a column.
const COLUMNS: u32 = 5;
const CORE_ROWS: u32 = 4;
/// Arguments that one command may pin (amdxdna_ctx.c: MAX_ARG_COUNT).
const MOST_ARGUMENTS: u32 = 4095;
const PAGE: u32 = 4096;

pub(super) struct Context {
    pub(super) fd: c_int,
    /// Array configuration of each compute unit; empty until configured.
    pub(super) units: Vec<Arc<[u8]>>,
    pub(super) syncobj: SyncobjId,
    chain_buffers: Vec<usize>,
    pub(super) columns: u32,
    pub(super) qos: QosInfo,
    /// Commands taken, which is the number of the next one, and those that have ended.
    pub(super) submitted: u64,
    pub(super) ended: u64,
    pub(super) errors: u64,
}

#[derive(Default)]
pub(super) struct Contexts {
    pub(super) all: HashMap<u32, Context>,
    last: u32,
    made: u64,
}

impl Contexts {
    /// From now on contexts are counted from 0.
    pub(super) fn start_counting(&mut self) {
        self.made = 0;
    }
}

impl State {
    fn context(&mut self, fd: c_int, handle: u32) -> Answer<&mut Context> {
        self.contexts.all.get_mut(&handle).filter(|context| context.fd == fd).ok_or(EINVAL)
    }

    /// A context that runs nothing any more is given back.
    fn drop_context(&mut self, handle: u32) {
        let Some(context) = self.contexts.all.remove(&handle) else { return };
        self.syncobjs.release(context.syncobj);
        if let Ok(client) = self.client(context.fd)
            && let Some(heap) = &mut client.heap
        {
            context.chain_buffers.iter().for_each(|&start| heap.free(start, CHAIN_BUFFER_BYTES));
        }
    }

    /// The program closes its descriptor: what is queued ends as ABORT; what runs is finished by the worker.
    pub(super) fn drop_contexts_of(&mut self, fd: c_int) {
        self.end_queued(CommandState::Abort, |job| job.fd == fd);
        let mine: Vec<u32> = self
            .contexts
            .all
            .iter()
            .filter(|(_, context)| context.fd == fd)
            .map(|(handle, _)| *handle)
            .collect();
        mine.into_iter().for_each(|handle| self.drop_context(handle));
    }
}

impl Node {
    pub(crate) fn create_hwctx(&self, argument: &mut CreateHwctx) -> Answer {
        let mut state = self.state()?;
        if argument.ext != 0 || argument.ext_flags != 0 {
            return Err(EINVAL);
        }
        let qos = user::read(argument.qos_p)?;
        let columns = argument.num_tiles / CORE_ROWS;
        if columns == 0 || columns > COLUMNS {
            return Err(EINVAL);
        }
        let number = state.contexts.made;
        state.contexts.made += 1;
        if state.settings.context_fails == Some(number) {
            return Err(ENOMEM);
        }
        // The firmware says "not available" (0x2000003), and the driver EINVAL.
        if state.contexts.all.len() + state.settings.contexts_elsewhere >= MOST_CONTEXTS {
            return Err(EINVAL);
        }
        let heap = state.client(self.fd)?.heap.as_mut().ok_or(ENOENT)?;
        let mut chain_buffers = Vec::with_capacity(CHAIN_BUFFERS);
        for _ in 0..CHAIN_BUFFERS {
            match heap.alloc(CHAIN_BUFFER_BYTES) {
                Ok(start) => chain_buffers.push(start),
                Err(errno) => {
                    chain_buffers.iter().for_each(|&start| heap.free(start, CHAIN_BUFFER_BYTES));
                    return Err(errno);
                }
            }
        }
        let syncobj = state.syncobjs.create(None);
        state.syncobjs.keep(syncobj);
        argument.syncobj_handle = state.client(self.fd)?.insert_syncobj(syncobj);
        argument.umq_doorbell = u32::MAX;
        state.contexts.last += 1;
        argument.handle = state.contexts.last;
        let context = Context {
            fd: self.fd,
            units: Vec::new(),
            syncobj,
            chain_buffers,
            columns,
            qos,
            submitted: 0,
            ended: 0,
            errors: 0,
        };
        state.contexts.all.insert(argument.handle, context);
        Ok(())
    }

    pub(crate) fn destroy_hwctx(&self, argument: &DestroyHwctx) -> Answer {
        let mut state = self.state()?;
        state.context(self.fd, argument.handle)?;
        // As the driver: what was submitted comes to its end first.
        while state
            .contexts
            .all
            .get(&argument.handle)
            .is_some_and(|context| context.ended < context.submitted)
        {
            state = DRIVER.wait(state);
        }
        state.drop_context(argument.handle);
        Ok(())
    }

    pub(crate) fn config_hwctx(&self, argument: &ConfigHwctx) -> Answer {
        match argument.param_type {
            abi::config::CU => self.config_units(argument),
            // Debug buffers are taken and never filled.
            abi::config::ASSIGN_DEBUG | abi::config::REMOVE_DEBUG => {
                self.state()?.context(self.fd, argument.handle).map(drop)
            }
            _ => Err(EINVAL),
        }
    }

    fn config_units(&self, argument: &ConfigHwctx) -> Answer {
        if argument.param_val_size > PAGE {
            return Err(Errno(libc::E2BIG));
        }
        let head: ConfigCu = user::read(argument.param_val)?;
        let count = usize::from(head.num_cus);
        let bytes = size_of::<ConfigCu>() + count * size_of::<CuConfig>();
        if count == 0 || count > MOST_UNITS || bytes > argument.param_val_size as usize {
            return Err(EINVAL);
        }
        let list: Vec<CuConfig> = user::read_array(argument.param_val + size_of::<ConfigCu>() as u64, count)?;
        let mut state = self.state()?;
        if !state.context(self.fd, argument.handle)?.units.is_empty() {
            return Err(EINVAL);
        }
        let client = state.client(self.fd)?;
        let mut units: Vec<Arc<[u8]>> = Vec::with_capacity(count);
        for unit in list {
            let Ok(Object::Device { start, len }) = client.object(unit.cu_bo) else { return Err(EINVAL) };
            let heap = client.heap.as_ref().ok_or(EINVAL)?.memory();
            let bytes = heap.device().get(*start..start + len).ok_or(EINVAL)?;
            // The object is longer than what was put into it.
            let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            units.push(bytes[..end].into());
        }
        let exact = state.settings.exact;
        // Making the kernels ready may take its time: not under the lock.
        drop(state);
        for unit in &units {
            if let Err(why) = worker::engine(exact).check(unit) {
                worker::log(&format!("the array configuration was refused: {why}"));
                return Err(EINVAL);
            }
        }
        self.state()?.context(self.fd, argument.handle)?.units = units;
        Ok(())
    }

    pub(crate) fn exec(&self, argument: &mut ExecCmd) -> Answer {
        if argument.ext != 0 || argument.ext_flags != 0 || argument.kind != abi::EXEC_BUFFER {
            return Err(EINVAL);
        }
        if argument.cmd_count != 1 || argument.arg_count > MOST_ARGUMENTS {
            return Err(EINVAL);
        }
        let arguments: Vec<u32> = match argument.arg_count {
            0 => Vec::new(),
            count => user::read_array(argument.args, count as usize)?,
        };
        let mut state = self.state()?;
        let client = state.client(self.fd)?;
        let handle = u32::try_from(argument.cmd_handles & 0xFFFF_FFFF).map_err(|_| EINVAL)?;
        let command = client.object(handle).ok().and_then(Object::shared).cloned().ok_or(EINVAL)?;
        arguments.iter().try_for_each(|&handle| client.object(handle).map(drop))?;
        if state.context(self.fd, argument.hwctx)?.units.is_empty() {
            return Err(EINVAL);
        }
        let number = state.submissions;
        state.submissions += 1;
        if state.settings.exec_fails == Some(number) {
            return Err(ENOMEM);
        }
        loop {
            let context = state.context(self.fd, argument.hwctx)?;
            if context.submitted - context.ended < MOST_IN_FLIGHT {
                argument.seq = context.submitted;
                context.submitted += 1;
                break;
            }
            state = DRIVER.wait(state);
            if state.client(self.fd)?.gone {
                return Err(ENODEV);
            }
        }
        state.submit(Job { fd: self.fd, context: argument.hwctx, number: argument.seq, command });
        drop(state);
        DRIVER.changed.notify_all();
        Ok(())
    }

    pub(crate) fn wait_cmd(&self, argument: &WaitCmd) -> Answer {
        let mut state = self.state()?;
        let mut left = match argument.timeout {
            0 => std::time::Duration::from_secs(3600),
            milliseconds => std::time::Duration::from_millis(milliseconds.into()),
        };
        loop {
            if state.context(self.fd, argument.hwctx)?.ended > argument.seq {
                return Ok(());
            }
            let begun = std::time::Instant::now();
            state =
                DRIVER.changed.wait_timeout(state, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
            left = left.checked_sub(begun.elapsed()).ok_or(ETIME)?;
        }
    }

    /// `DRM_IOCTL_AMDXDNA_…` that this generation does not have.
    pub(crate) fn unsupported(&self) -> Answer {
        self.state().and(Err(EOPNOTSUPP))
    }
}
