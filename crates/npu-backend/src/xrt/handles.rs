//! A safe type for each of the shim's handles. Each gives itself back when it is dropped. XRT counts references, so the order is
//! free, but for the buffers of a command: they outlive its runs.
#![allow(unsafe_code, reason = "calls through the shim's table of functions")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use super::bindings::{self as shim, xrt_shim_error, xrt_shim_status};
use super::failure::{Cause, Failure};
use super::library::Shim;

/// What a call through the table answers.
pub(super) type Answer<T> = std::result::Result<T, Failure>;

/// How a wait ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// The command has completed.
    Done,
    /// The time is over, the command is not.
    Expired,
}

/// Which memory a buffer object takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Main memory, for data.
    Host,
    /// The device's heap, for instruction streams.
    Cacheable,
}

/// The way of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToDevice,
    FromDevice,
}

/// Calls a function of the table: the arguments, then where errors go. `Err` if the library lacks it.
macro_rules! call {
    ($shim:expr, $name:ident($($argument:expr),*)) => {{
        let function = $shim.table().$name;
        let mut error = xrt_shim_error { cause: 0, code: 0, index: 0, message: [0; 500] };
        match function {
            // SAFETY: the table's rules (xrt_shim.h): every handle is live, as its type here owns it; pointers for results are
            // those of locals or of slices with their lengths; no exception leaves the function; `error` is a local.
            Some(function) => status(unsafe { function($($argument,)* &raw mut error) }, &error),
            None => Err(Failure::new(Cause::Runtime, concat!("the shim lacks ", stringify!($name)))),
        }
    }};
}

fn status(status: xrt_shim_status, error: &xrt_shim_error) -> Answer<Waited> {
    match status {
        shim::XRT_SHIM_OK => Ok(Waited::Done),
        shim::XRT_SHIM_EXPIRED => Ok(Waited::Expired),
        _ => Err(Failure::of(error)),
    }
}

/// Declares a handle that closes itself.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident($raw:ident), $close:ident) => {
        $(#[$doc])*
        pub(super) struct $name {
            shim: Shim,
            raw: NonNull<shim::$raw>,
        }

        // SAFETY: the shim's handles may be used by any thread, by one at a time (xrt_shim.h). They are not `Sync`.
        unsafe impl Send for $name {}

        impl $name {
            /// Takes what a function of the table has made.
            fn made(shim: Shim, raw: *mut shim::$raw) -> Answer<Self> {
                let nothing = || Failure::new(Cause::Runtime, concat!("the shim answered no ", stringify!($name)));
                NonNull::new(raw).map(|raw| Self { shim, raw }).ok_or_else(nothing)
            }

            fn raw(&self) -> *mut shim::$raw {
                self.raw.as_ptr()
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                if let Some(close) = self.shim.table().$close {
                    // SAFETY: this handle is live and is closed here, once.
                    unsafe { close(self.raw()) }
                }
            }
        }
    };
}

handle!(
    /// An open device.
    Accelerator(xrt_shim_device), device_close
);
handle!(
    /// A container that configures the array.
    Xclbin(xrt_shim_xclbin), xclbin_close
);
handle!(
    /// A hardware context.
    HardwareContext(xrt_shim_context), context_close
);
handle!(
    /// What launches run.
    Kernel(xrt_shim_kernel), kernel_close
);
handle!(
    /// A buffer object's handle.
    RawBo(xrt_shim_bo), bo_close
);
handle!(
    /// A command.
    Run(xrt_shim_run), run_close
);
handle!(
    /// Commands that are submitted together.
    RunList(xrt_shim_runlist), runlist_close
);

impl Accelerator {
    pub(super) fn open(shim: Shim, index: u32) -> Answer<Self> {
        let mut out = ptr::null_mut();
        call!(shim, device_open(index, &raw mut out))?;
        Self::made(shim, out)
    }

    /// The name that the driver gives it.
    pub(super) fn name(&self) -> Answer<String> {
        let mut name: [c_char; 128] = [0; 128];
        call!(self.shim, device_name(self.raw(), name.as_mut_ptr(), name.len()))?;
        // SAFETY: the function ended it by a zero within its length, and it began as zeros.
        Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
    }

    pub(super) fn register(&self, xclbin: &Xclbin) -> Answer<()> {
        call!(self.shim, xclbin_register(xclbin.raw(), self.raw())).map(drop)
    }
}

impl Xclbin {
    pub(super) fn read(shim: Shim, bytes: &[u8]) -> Answer<Self> {
        let mut out = ptr::null_mut();
        call!(shim, xclbin_open(bytes.as_ptr().cast::<c_void>(), bytes.len(), &raw mut out))?;
        Self::made(shim, out)
    }
}

impl HardwareContext {
    /// Of an xclbin that the device has registered.
    pub(super) fn open(device: &Accelerator, xclbin: &Xclbin) -> Answer<Self> {
        let mut out = ptr::null_mut();
        call!(device.shim, context_open(device.raw(), xclbin.raw(), &raw mut out))?;
        Self::made(device.shim, out)
    }
}

impl Kernel {
    /// The xclbin's kernel whose name begins with `prefix`, or its first.
    pub(super) fn open(context: &HardwareContext, xclbin: &Xclbin, prefix: &CStr) -> Answer<Self> {
        let mut out = ptr::null_mut();
        call!(context.shim, kernel_open(context.raw(), xclbin.raw(), prefix.as_ptr(), &raw mut out))?;
        Self::made(context.shim, out)
    }

    /// The memory group of an argument.
    pub(super) fn group_id(&self, argument: u32) -> Answer<u32> {
        let mut group = 0;
        call!(self.shim, kernel_group_id(self.raw(), argument, &raw mut group))?;
        Ok(group)
    }
}

/// A buffer object, mapped into this process for as long as it lives.
pub(super) struct Bo {
    raw: RawBo,
    map: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: as `RawBo`; the mapping belongs to it alone and is reached through `&self` and `&mut self` only.
unsafe impl Send for Bo {}

impl Bo {
    pub(super) fn create(device: &Accelerator, len_bytes: usize, kind: Kind, group: u32) -> Answer<Self> {
        let memory = match kind {
            Kind::Host => shim::XRT_SHIM_MEMORY_HOST,
            Kind::Cacheable => shim::XRT_SHIM_MEMORY_CACHEABLE,
        };
        let mut out = ptr::null_mut();
        call!(device.shim, bo_create(device.raw(), len_bytes, memory, group, &raw mut out))?;
        Self::mapped(RawBo::made(device.shim, out)?, len_bytes)
    }

    /// `len_bytes` of it from `offset_bytes` on, which then have two names: the caller keeps their uses apart.
    #[cfg(test)]
    pub(super) fn part(&self, offset_bytes: usize, len_bytes: usize) -> Answer<Self> {
        let mut out = ptr::null_mut();
        call!(self.raw.shim, bo_create_part(self.raw.raw(), offset_bytes, len_bytes, &raw mut out))?;
        Self::mapped(RawBo::made(self.raw.shim, out)?, len_bytes)
    }

    fn mapped(raw: RawBo, len_bytes: usize) -> Answer<Self> {
        let mut map: *mut c_void = ptr::null_mut();
        call!(raw.shim, bo_map(raw.raw(), &raw mut map))?;
        let nothing = || Failure::new(Cause::Runtime, "the buffer object has no memory in this process");
        let map = NonNull::new(map.cast::<u8>()).ok_or_else(nothing)?;
        Ok(Self { raw, map, len_bytes })
    }

    /// The host's side. Not while launches that write it are in flight: the caller checks that.
    pub(super) fn host(&self) -> &[u8] {
        // SAFETY: the mapping has this length and stays as long as the buffer object, which `self` owns; the host writes it
        // through `&mut self` only, and no device does: the caller lends no buffer that an unfinished ticket writes.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr(), self.len_bytes) }
    }

    /// The host's side, to be written. Not while launches that use it are in flight: the caller checks that.
    pub(super) fn host_mut(&mut self) -> &mut [u8] {
        // SAFETY: as `host`, and nobody else has a reference to it.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_ptr(), self.len_bytes) }
    }

    pub(super) fn sync(&self, direction: Direction, offset_bytes: usize, len_bytes: usize) -> Answer<()> {
        let direction = match direction {
            Direction::ToDevice => shim::XRT_SHIM_TO_DEVICE,
            Direction::FromDevice => shim::XRT_SHIM_FROM_DEVICE,
        };
        call!(self.raw.shim, bo_sync(self.raw.raw(), direction, offset_bytes, len_bytes)).map(drop)
    }
}

impl Run {
    pub(super) fn create(kernel: &Kernel) -> Answer<Self> {
        let mut out = ptr::null_mut();
        call!(kernel.shim, run_create(kernel.raw(), &raw mut out))?;
        Self::made(kernel.shim, out)
    }

    pub(super) fn set_u32(&mut self, argument: u32, value: u32) -> Answer<()> {
        call!(self.shim, run_set_u32(self.raw(), argument, value)).map(drop)
    }

    pub(super) fn set_u64(&mut self, argument: u32, value: u64) -> Answer<()> {
        call!(self.shim, run_set_u64(self.raw(), argument, value)).map(drop)
    }

    /// The command does not keep the buffer object: who has both keeps it until the command has ended.
    pub(super) fn set_bo(&mut self, argument: u32, bo: &Bo) -> Answer<()> {
        call!(self.shim, run_set_bo(self.raw(), argument, bo.raw.raw())).map(drop)
    }

    pub(super) fn start(&mut self) -> Answer<()> {
        call!(self.shim, run_start(self.raw())).map(drop)
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Answer<Waited> {
        call!(self.shim, run_wait(self.raw(), nanoseconds(timeout)))
    }

    /// Of a device that is gone: the command has ended.
    pub(super) fn give_up(&mut self) {
        if let Some(give_up) = self.shim.table().run_give_up {
            // SAFETY: this handle is live.
            unsafe { give_up(self.raw()) }
        }
    }
}

impl RunList {
    pub(super) fn create(context: &HardwareContext) -> Answer<Self> {
        let mut out = ptr::null_mut();
        call!(context.shim, runlist_create(context.raw(), &raw mut out))?;
        Self::made(context.shim, out)
    }

    /// Appends a command, which the list keeps.
    pub(super) fn add(&mut self, run: Run) -> Answer<()> {
        call!(self.shim, runlist_add(self.raw(), run.raw())).map(drop)
    }

    pub(super) fn execute(&mut self) -> Answer<()> {
        call!(self.shim, runlist_execute(self.raw())).map(drop)
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Answer<Waited> {
        call!(self.shim, runlist_wait(self.raw(), nanoseconds(timeout)))
    }
}

/// As the shim counts; what does not fit is without limit in all but name.
fn nanoseconds(timeout: Option<Duration>) -> u64 {
    const FOREVER: u64 = u64::MAX;
    let Some(timeout) = timeout else { return FOREVER };
    u64::try_from(timeout.as_nanos()).unwrap_or(FOREVER).min(FOREVER - 1)
}
