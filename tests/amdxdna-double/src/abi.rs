//! Structures and numbers of the driver's interface, as `drm/amdxdna_accel.h` and `drm/drm.h` (Linux 7.2) have them.
//!
//! Names are the headers' without their prefixes. Sizes are checked below against the headers' (x86-64).

macro_rules! structures {
    ($($(#[$doc:meta])* $name:ident($size:literal) { $($field:ident: $kind:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug, Default)]
            pub(crate) struct $name { $(pub(crate) $field: $kind),* }

            const _: () = assert!(size_of::<$name>() == $size);
            // No padding: each byte of the structure belongs to a field, so any bytes are one and it has no others.
            const _: () = assert!(0 $(+ size_of::<$kind>())* == $size);
        )*
        crate::user::plain!($($name),*);
    };
}

structures! {
    CreateHwctx(56) {
        ext: u64, ext_flags: u64, qos_p: u64, umq_bo: u32, log_buf_bo: u32, max_opc: u32, num_tiles: u32,
        mem_size: u32, umq_doorbell: u32, handle: u32, syncobj_handle: u32,
    }
    QosInfo(24) { gops: u32, fps: u32, dma_bandwidth: u32, latency: u32, frame_exec_time: u32, priority: u32 }
    DestroyHwctx(8) { handle: u32, pad: u32 }
    ConfigHwctx(24) { handle: u32, param_type: u32, param_val: u64, param_val_size: u32, pad: u32 }
    /// Head of the parameter of `HWCTX_CONFIG_CU`; as many [`CuConfig`] follow.
    ConfigCu(8) { num_cus: u16, pad: [u16; 3] }
    CuConfig(8) { cu_bo: u32, cu_func: u8, pad: [u8; 3] }
    CreateBo(32) { flags: u64, vaddr: u64, size: u64, kind: u32, handle: u32 }
    /// Head of the table of a user-pointer object; as many [`VaEntry`] follow.
    VaTable(8) { dmabuf_fd: i32, num_entries: u32 }
    VaEntry(16) { vaddr: u64, len: u64 }
    GetBoInfo(48) { ext: u64, ext_flags: u64, handle: u32, pad: u32, map_offset: u64, vaddr: u64, xdna_addr: u64 }
    SyncBo(24) { handle: u32, direction: u32, offset: u64, size: u64 }
    ExecCmd(56) {
        ext: u64, ext_flags: u64, hwctx: u32, kind: u32, cmd_handles: u64, args: u64, cmd_count: u32, arg_count: u32,
        seq: u64,
    }
    WaitCmd(16) { hwctx: u32, timeout: u32, seq: u64 }
    /// Parameter of the ioctls GET_INFO and SET_STATE.
    Info(16) { param: u32, buffer_size: u32, buffer: u64 }
    GetArray(24) { param: u32, element_size: u32, num_element: u32, pad: u32, buffer: u64 }

    QueryAieVersion(8) { major: u32, minor: u32 }
    QueryTile(16) {
        row_count: u16, row_start: u16, dma_channel_count: u16, lock_count: u16, event_reg_count: u16, pad: [u16; 3],
    }
    QueryAieMetadata(64) {
        col_size: u32, cols: u16, rows: u16, version: QueryAieVersion, tile_core: QueryTile, tile_mem: QueryTile,
        tile_shim: QueryTile,
    }
    QueryClock(24) { name: [u8; 16], freq_mhz: u32, pad: u32 }
    QueryClocks(48) { mp_npu_clock: QueryClock, h_clock: QueryClock }
    QueryFirmware(16) { major: u32, minor: u32, patch: u32, build: u32 }
    /// A power mode or the state of an attribute.
    OneByte(8) { value: u8, pad: [u8; 7] }
    ResourceInfo(40) { npu_clk_max: u64, npu_tops_max: u64, npu_task_max: u64, npu_tops_curr: u64, npu_task_curr: u64 }
    HwctxEntry(144) {
        context_id: u32, start_col: u32, num_col: u32, hwctx_id: u32, pid: i64, command_submissions: u64,
        command_completions: u64, migrations: u64, preemptions: u64, errors: u64, priority: u64, heap_usage: u64,
        suspensions: u64, state: u32, pasid: u32, gops: u32, fps: u32, dma_bandwidth: u32, latency: u32,
        frame_exec_time: u32, txn_op_idx: u32, ctx_pc: u32, fatal_error_type: u32, fatal_error_exception_type: u32,
        fatal_error_exception_pc: u32, fatal_error_app_module: u32, pad: u32,
    }
    BoUsage(32) { pid: i64, total_usage: u64, internal_usage: u64, heap_usage: u64 }

    GemClose(8) { handle: u32, pad: u32 }
    PrimeHandle(12) { handle: u32, flags: u32, fd: i32 }
    SyncobjCreate(8) { handle: u32, flags: u32 }
    SyncobjHandle(24) { handle: u32, flags: u32, fd: i32, pad: u32, point: u64 }
    TimelineWait(48) {
        handles: u64, points: u64, timeout_nsec: i64, count_handles: u32, flags: u32, first_signaled: u32, pad: u32,
        deadline_nsec: u64,
    }
    TimelineArray(24) { handles: u64, points: u64, count_handles: u32, flags: u32 }
}

/// An address that is none.
pub(crate) const INVALID_ADDR: u64 = u64::MAX;

/// Ioctls of the driver, above `DRM_COMMAND_BASE`.
pub(crate) mod nr {
    pub(crate) const CREATE_HWCTX: u32 = 0x40;
    pub(crate) const DESTROY_HWCTX: u32 = 0x41;
    pub(crate) const CONFIG_HWCTX: u32 = 0x42;
    pub(crate) const CREATE_BO: u32 = 0x43;
    pub(crate) const GET_BO_INFO: u32 = 0x44;
    pub(crate) const SYNC_BO: u32 = 0x45;
    pub(crate) const EXEC_CMD: u32 = 0x46;
    pub(crate) const GET_INFO: u32 = 0x47;
    pub(crate) const SET_STATE: u32 = 0x48;
    pub(crate) const WAIT_CMD: u32 = 0x49;
    pub(crate) const GET_ARRAY: u32 = 0x4A;

    pub(crate) const GEM_CLOSE: u32 = 0x09;
    pub(crate) const PRIME_HANDLE_TO_FD: u32 = 0x2D;
    pub(crate) const PRIME_FD_TO_HANDLE: u32 = 0x2E;
    pub(crate) const SYNCOBJ_CREATE: u32 = 0xBF;
    pub(crate) const SYNCOBJ_DESTROY: u32 = 0xC0;
    pub(crate) const SYNCOBJ_HANDLE_TO_FD: u32 = 0xC1;
    pub(crate) const SYNCOBJ_FD_TO_HANDLE: u32 = 0xC2;
    pub(crate) const SYNCOBJ_TIMELINE_WAIT: u32 = 0xCA;
    pub(crate) const SYNCOBJ_TIMELINE_SIGNAL: u32 = 0xCD;
}

/// Kinds of buffer objects.
pub(crate) mod bo {
    pub(crate) const SHARE: u32 = 1;
    pub(crate) const DEV_HEAP: u32 = 2;
    pub(crate) const DEV: u32 = 3;
    pub(crate) const CMD: u32 = 4;
}

/// Parameters of the ioctl CONFIG_HWCTX.
pub(crate) mod config {
    pub(crate) const CU: u32 = 0;
    pub(crate) const ASSIGN_DEBUG: u32 = 1;
    pub(crate) const REMOVE_DEBUG: u32 = 2;
}

/// Parameters of the ioctl GET_INFO.
pub(crate) mod get {
    pub(crate) const AIE_METADATA: u32 = 1;
    pub(crate) const AIE_VERSION: u32 = 2;
    pub(crate) const CLOCKS: u32 = 3;
    pub(crate) const FIRMWARE: u32 = 8;
    pub(crate) const POWER_MODE: u32 = 9;
    pub(crate) const FORCE_PREEMPT: u32 = 11;
    pub(crate) const RESOURCES: u32 = 12;
    pub(crate) const FRAME_BOUNDARY_PREEMPT: u32 = 13;
}

/// Parameters of the ioctl GET_ARRAY.
pub(crate) mod array {
    pub(crate) const HW_CONTEXTS: u32 = 0;
    pub(crate) const BO_USAGE: u32 = 6;
}

/// Parameters of the ioctl SET_STATE.
pub(crate) mod set {
    pub(crate) const POWER_MODE: u32 = 0;
    pub(crate) const FORCE_PREEMPT: u32 = 3;
    pub(crate) const FRAME_BOUNDARY_PREEMPT: u32 = 4;
}

/// `SYNC_DIRECT_TO_DEVICE`; from the device is 1.
pub(crate) const TO_DEVICE: u32 = 0;
/// `AMDXDNA_CMD_SUBMIT_EXEC_BUF`.
pub(crate) const EXEC_BUFFER: u32 = 0;
/// `DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT`.
pub(crate) const WAIT_FOR_SUBMIT: u32 = 1 << 1;
