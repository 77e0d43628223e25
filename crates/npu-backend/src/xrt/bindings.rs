//! Made by bindgen from `shim/xrt_shim.h`, which has the comments; `tests/bindings.rs` compares and renews it.

pub const XRT_SHIM_ABI: u32 = 3;
#[repr(C)]
#[derive(Debug)]
pub struct xrt_shim_device {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct xrt_shim_xclbin {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct xrt_shim_context {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct xrt_shim_kernel {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct xrt_shim_bo {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct xrt_shim_run {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct xrt_shim_runlist {
    _unused: [u8; 0],
}
pub const XRT_SHIM_OK: xrt_shim_status = 0;
pub const XRT_SHIM_EXPIRED: xrt_shim_status = 1;
pub const XRT_SHIM_FAILED: xrt_shim_status = 2;
pub type xrt_shim_status = ::std::os::raw::c_uint;
pub const XRT_SHIM_CAUSE_SYSTEM: xrt_shim_cause = 1;
pub const XRT_SHIM_CAUSE_COMMAND: xrt_shim_cause = 2;
pub const XRT_SHIM_CAUSE_RUNTIME: xrt_shim_cause = 3;
pub const XRT_SHIM_CAUSE_MEMORY: xrt_shim_cause = 4;
pub const XRT_SHIM_CAUSE_UNKNOWN: xrt_shim_cause = 5;
pub const XRT_SHIM_CAUSE_FORGOTTEN: xrt_shim_cause = 6;
pub type xrt_shim_cause = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct xrt_shim_error {
    pub cause: u32,
    pub code: i32,
    pub index: u32,
    pub message: [::std::os::raw::c_char; 500usize],
}
pub const XRT_SHIM_MEMORY_HOST: xrt_shim_memory = 0;
pub const XRT_SHIM_MEMORY_CACHEABLE: xrt_shim_memory = 1;
pub type xrt_shim_memory = ::std::os::raw::c_uint;
pub const XRT_SHIM_TO_DEVICE: xrt_shim_direction = 0;
pub const XRT_SHIM_FROM_DEVICE: xrt_shim_direction = 1;
pub type xrt_shim_direction = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct xrt_shim_api {
    pub abi: u32,
    pub size_bytes: u32,
    pub device_open: ::std::option::Option<
        unsafe extern "C" fn(
            index: u32,
            out: *mut *mut xrt_shim_device,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub device_name: ::std::option::Option<
        unsafe extern "C" fn(
            device: *mut xrt_shim_device,
            out: *mut ::std::os::raw::c_char,
            len_bytes: usize,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub device_close: ::std::option::Option<unsafe extern "C" fn(device: *mut xrt_shim_device)>,
    pub xclbin_open: ::std::option::Option<
        unsafe extern "C" fn(
            bytes: *const ::std::os::raw::c_void,
            len_bytes: usize,
            out: *mut *mut xrt_shim_xclbin,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub xclbin_register: ::std::option::Option<
        unsafe extern "C" fn(
            xclbin: *mut xrt_shim_xclbin,
            device: *mut xrt_shim_device,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub xclbin_close: ::std::option::Option<unsafe extern "C" fn(xclbin: *mut xrt_shim_xclbin)>,
    pub context_open: ::std::option::Option<
        unsafe extern "C" fn(
            device: *mut xrt_shim_device,
            xclbin: *mut xrt_shim_xclbin,
            out: *mut *mut xrt_shim_context,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub context_close: ::std::option::Option<unsafe extern "C" fn(context: *mut xrt_shim_context)>,
    pub kernel_open: ::std::option::Option<
        unsafe extern "C" fn(
            context: *mut xrt_shim_context,
            xclbin: *mut xrt_shim_xclbin,
            prefix: *const ::std::os::raw::c_char,
            out: *mut *mut xrt_shim_kernel,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub kernel_group_id: ::std::option::Option<
        unsafe extern "C" fn(
            kernel: *mut xrt_shim_kernel,
            argument: u32,
            out: *mut u32,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub kernel_close: ::std::option::Option<unsafe extern "C" fn(kernel: *mut xrt_shim_kernel)>,
    pub bo_create: ::std::option::Option<
        unsafe extern "C" fn(
            device: *mut xrt_shim_device,
            len_bytes: usize,
            memory: u32,
            group: u32,
            out: *mut *mut xrt_shim_bo,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub bo_create_part: ::std::option::Option<
        unsafe extern "C" fn(
            whole: *mut xrt_shim_bo,
            offset_bytes: usize,
            len_bytes: usize,
            out: *mut *mut xrt_shim_bo,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub bo_map: ::std::option::Option<
        unsafe extern "C" fn(
            bo: *mut xrt_shim_bo,
            out: *mut *mut ::std::os::raw::c_void,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub bo_sync: ::std::option::Option<
        unsafe extern "C" fn(
            bo: *mut xrt_shim_bo,
            direction: u32,
            offset_bytes: usize,
            len_bytes: usize,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub bo_close: ::std::option::Option<unsafe extern "C" fn(bo: *mut xrt_shim_bo)>,
    pub run_create: ::std::option::Option<
        unsafe extern "C" fn(
            kernel: *mut xrt_shim_kernel,
            out: *mut *mut xrt_shim_run,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub run_set_u32: ::std::option::Option<
        unsafe extern "C" fn(
            run: *mut xrt_shim_run,
            argument: u32,
            value: u32,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub run_set_u64: ::std::option::Option<
        unsafe extern "C" fn(
            run: *mut xrt_shim_run,
            argument: u32,
            value: u64,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub run_set_bo: ::std::option::Option<
        unsafe extern "C" fn(
            run: *mut xrt_shim_run,
            argument: u32,
            bo: *mut xrt_shim_bo,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub run_start: ::std::option::Option<
        unsafe extern "C" fn(run: *mut xrt_shim_run, error: *mut xrt_shim_error) -> xrt_shim_status,
    >,
    pub run_wait: ::std::option::Option<
        unsafe extern "C" fn(
            run: *mut xrt_shim_run,
            timeout_ns: u64,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub run_give_up: ::std::option::Option<unsafe extern "C" fn(run: *mut xrt_shim_run)>,
    pub run_close: ::std::option::Option<unsafe extern "C" fn(run: *mut xrt_shim_run)>,
    pub runlist_create: ::std::option::Option<
        unsafe extern "C" fn(
            context: *mut xrt_shim_context,
            out: *mut *mut xrt_shim_runlist,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub runlist_add: ::std::option::Option<
        unsafe extern "C" fn(
            list: *mut xrt_shim_runlist,
            run: *mut xrt_shim_run,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub runlist_execute: ::std::option::Option<
        unsafe extern "C" fn(list: *mut xrt_shim_runlist, error: *mut xrt_shim_error) -> xrt_shim_status,
    >,
    pub runlist_wait: ::std::option::Option<
        unsafe extern "C" fn(
            list: *mut xrt_shim_runlist,
            timeout_ns: u64,
            error: *mut xrt_shim_error,
        ) -> xrt_shim_status,
    >,
    pub runlist_close: ::std::option::Option<unsafe extern "C" fn(list: *mut xrt_shim_runlist)>,
}
pub type xrt_shim_get_api_fn = ::std::option::Option<unsafe extern "C" fn() -> *const xrt_shim_api>;
