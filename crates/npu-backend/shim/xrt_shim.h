/* A small C interface to the parts of AMD's XRT that drive an NPU. XRT itself speaks C++ only where hardware contexts
 * and runlists are concerned, and tells its errors by exceptions.
 *
 * The library exports one function, xrt_shim_get_api(), which answers a table of functions. Rules of the table:
 *   - A function that can fail returns an xrt_shim_status and fills *error when it returns XRT_SHIM_FAILED. `error` is
 *     never null. No exception leaves a function.
 *   - Handles are opaque, made by *_open or *_create and given back by the matching *_close, which takes null too and
 *     must be called once. What a handle was made from may be closed before it: XRT counts references.
 *     But a buffer object that is an argument must live until the command has ended.
 *   - Handles may be used by any thread, by one at a time. */
#ifndef XRT_SHIM_H
#define XRT_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever the table or the meaning of an entry changes. */
#define XRT_SHIM_ABI 3u

/* A wait without limit. */
#define XRT_SHIM_FOREVER UINT64_MAX

typedef struct xrt_shim_device xrt_shim_device;
typedef struct xrt_shim_xclbin xrt_shim_xclbin;
typedef struct xrt_shim_context xrt_shim_context;
typedef struct xrt_shim_kernel xrt_shim_kernel;
typedef struct xrt_shim_bo xrt_shim_bo;
typedef struct xrt_shim_run xrt_shim_run;
typedef struct xrt_shim_runlist xrt_shim_runlist;

/* How a call ended. */
typedef enum xrt_shim_status {
    XRT_SHIM_OK = 0,
    /* A wait whose time is over. The command goes on: this is no state of the device. */
    XRT_SHIM_EXPIRED = 1,
    /* See the error. */
    XRT_SHIM_FAILED = 2
} xrt_shim_status;

/* What kind of thing failed. */
typedef enum xrt_shim_cause {
    /* The driver or the system; `code` is an errno. */
    XRT_SHIM_CAUSE_SYSTEM = 1,
    /* A command ended as `code`, a state of ert_cmd_state that is not COMPLETED. `index` is the number of the first
     * command of a runlist that did so. */
    XRT_SHIM_CAUSE_COMMAND = 2,
    /* Another exception of XRT. */
    XRT_SHIM_CAUSE_RUNTIME = 3,
    /* No memory on the host. */
    XRT_SHIM_CAUSE_MEMORY = 4,
    /* An exception that is no std::exception. */
    XRT_SHIM_CAUSE_UNKNOWN = 5,
    /* The driver has taken the command and let go of it without running it: it has ended, and its state stays `code`. */
    XRT_SHIM_CAUSE_FORGOTTEN = 6
} xrt_shim_cause;

typedef struct xrt_shim_error {
    uint32_t cause;    /* an xrt_shim_cause */
    int32_t code;      /* errno or command state, else 0 */
    uint32_t index;    /* of a command in a runlist, else 0 */
    char message[500]; /* ends in zero; cut if longer */
} xrt_shim_error;

/* Which memory a buffer object takes. */
typedef enum xrt_shim_memory {
    XRT_SHIM_MEMORY_HOST = 0,     /* data: xrt::bo::flags::host_only */
    XRT_SHIM_MEMORY_CACHEABLE = 1 /* instruction streams, on the device's heap: xrt::bo::flags::cacheable */
} xrt_shim_memory;

/* The way of a sync. */
typedef enum xrt_shim_direction { XRT_SHIM_TO_DEVICE = 0, XRT_SHIM_FROM_DEVICE = 1 } xrt_shim_direction;

typedef struct xrt_shim_api {
    uint32_t abi;        /* XRT_SHIM_ABI of the library */
    uint32_t size_bytes; /* of its table */

    /* Opens the device of this number, from 0. */
    xrt_shim_status (*device_open)(uint32_t index, xrt_shim_device **out, xrt_shim_error *error);
    /* Writes the name that the driver gives it, such as "RyzenAI-npu1", ended by zero and cut to `len_bytes`. */
    xrt_shim_status (*device_name)(xrt_shim_device *device, char *out, size_t len_bytes, xrt_shim_error *error);
    void (*device_close)(xrt_shim_device *device);

    /* Reads an xclbin; the bytes are copied. */
    xrt_shim_status (*xclbin_open)(const void *bytes, size_t len_bytes, xrt_shim_xclbin **out, xrt_shim_error *error);
    /* Registers it with the device (never load_xclbin, which NPUs do not have). Once per device is enough. */
    xrt_shim_status (*xclbin_register)(xrt_shim_xclbin *xclbin, xrt_shim_device *device, xrt_shim_error *error);
    void (*xclbin_close)(xrt_shim_xclbin *xclbin);

    /* Takes a hardware context for a registered xclbin. */
    xrt_shim_status (*context_open)(xrt_shim_device *device, xrt_shim_xclbin *xclbin, xrt_shim_context **out,
                                    xrt_shim_error *error);
    void (*context_close)(xrt_shim_context *context);

    /* Opens the xclbin's kernel whose name begins with `prefix`, or its first one if none does. */
    xrt_shim_status (*kernel_open)(xrt_shim_context *context, xrt_shim_xclbin *xclbin, const char *prefix,
                                   xrt_shim_kernel **out, xrt_shim_error *error);
    /* The memory group of an argument: bank in bits 0 to 15 (0xffff: none), the context's slot above them. */
    xrt_shim_status (*kernel_group_id)(xrt_shim_kernel *kernel, uint32_t argument, uint32_t *out,
                                       xrt_shim_error *error);
    void (*kernel_close)(xrt_shim_kernel *kernel);

    /* Makes a buffer object; `memory` is an xrt_shim_memory. */
    xrt_shim_status (*bo_create)(xrt_shim_device *device, size_t len_bytes, uint32_t memory, uint32_t group,
                                 xrt_shim_bo **out, xrt_shim_error *error);
    /* Makes a buffer object of a part of another. The device's back-end has no use for one yet: its buffers are whole. */
    xrt_shim_status (*bo_create_part)(xrt_shim_bo *whole, size_t offset_bytes, size_t len_bytes, xrt_shim_bo **out,
                                      xrt_shim_error *error);
    /* Its memory in this process, which stays where it is as long as the buffer object lives. */
    xrt_shim_status (*bo_map)(xrt_shim_bo *bo, void **out, xrt_shim_error *error);
    /* Makes one side see a range as the other does; `direction` is an xrt_shim_direction. */
    xrt_shim_status (*bo_sync)(xrt_shim_bo *bo, uint32_t direction, size_t offset_bytes, size_t len_bytes,
                               xrt_shim_error *error);
    void (*bo_close)(xrt_shim_bo *bo);

    /* Makes a command of the kernel, to be started any number of times. */
    xrt_shim_status (*run_create)(xrt_shim_kernel *kernel, xrt_shim_run **out, xrt_shim_error *error);
    xrt_shim_status (*run_set_u32)(xrt_shim_run *run, uint32_t argument, uint32_t value, xrt_shim_error *error);
    xrt_shim_status (*run_set_u64)(xrt_shim_run *run, uint32_t argument, uint64_t value, xrt_shim_error *error);
    xrt_shim_status (*run_set_bo)(xrt_shim_run *run, uint32_t argument, xrt_shim_bo *bo, xrt_shim_error *error);
    xrt_shim_status (*run_start)(xrt_shim_run *run, xrt_shim_error *error);
    /* Waits for a started command at most `timeout_ns`; 0 only looks. Only causes COMMAND and FORGOTTEN say that the
     * command has ended; after another one it may be under way, and is to be waited for again. A wait with a limit cannot
     * tell a forgotten command from one whose turn has not come, and expires. */
    xrt_shim_status (*run_wait)(xrt_shim_run *run, uint64_t timeout_ns, xrt_shim_error *error);
    /* Says that a started command has ended, as nobody else will: its device is gone. */
    void (*run_give_up)(xrt_shim_run *run);
    /* One that is under way is left to its memory, with its context: XRT would end the process. */
    void (*run_close)(xrt_shim_run *run);

    /* Makes an empty list of commands of one context, to be executed any number of times. */
    xrt_shim_status (*runlist_create)(xrt_shim_context *context, xrt_shim_runlist **out, xrt_shim_error *error);
    /* Appends a command; a command stands in one list, once. */
    xrt_shim_status (*runlist_add)(xrt_shim_runlist *list, xrt_shim_run *run, xrt_shim_error *error);
    xrt_shim_status (*runlist_execute)(xrt_shim_runlist *list, xrt_shim_error *error);
    /* As run_wait. With XRT 2.17, which cannot look, 0 waits a millisecond. A list whose wait has failed by another cause
     * than COMMAND ends as ABORT, however it ended: XRT does not tell that any more. */
    xrt_shim_status (*runlist_wait)(xrt_shim_runlist *list, uint64_t timeout_ns, xrt_shim_error *error);
    void (*runlist_close)(xrt_shim_runlist *list);
} xrt_shim_api;

/* The type of xrt_shim_get_api. */
typedef const xrt_shim_api *(*xrt_shim_get_api_fn)(void);

/* The table; it lives as long as the library is loaded. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const xrt_shim_api *xrt_shim_get_api(void);

#ifdef __cplusplus
}
#endif

#endif
