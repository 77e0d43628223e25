//! A test double of the kernel driver `amdxdna`, beneath AMD's own, unmodified XRT.
//!
//! Preloaded into a program (`tests/xrt-sandbox/sandbox run --double …`) it shows that program one PCI function bound to
//! the driver, and the node `/dev/accel/accel0`, whose ioctls it answers as the driver does. Launches run on the
//! emulator's model of the array, so what comes back is what [`npu_backend::emulator::Emulator`] would have computed.
//!
//! | file | what it is |
//! |---|---|
//! | `interpose`, `next` | libc's functions replaced, and the real ones behind them |
//! | `sysfs` | the files of the PCI function, in a temporary folder to which paths are redirected |
//! | `abi`, `user` | structures of `drm/amdxdna_accel.h` and `drm/drm.h`; the program's memory |
//! | `ioctls` | numbers ▸ calls |
//! | `driver` | clients, buffer objects, contexts, commands, syncobjs, queries |
//! | `region` | memory of buffer objects: what the host sees, and what the device sees |
//! | `settings` | faults and limits, from the environment and a control file |
//!
//! What it is not: the firmware, its timing, or the array's own controller. Instruction streams are the emulator's
//! (`npu_backend::kernel::Program`), never those of mlir-aie. One process sees one device of its own: limits across
//! processes are not modelled.

#![cfg_attr(test, allow(dead_code, reason = "the calls come through `interpose`, which tests are without"))]

mod abi;
mod driver;
mod errno;
// Test binaries of this crate keep their own libc.
#[cfg(not(test))]
mod interpose;
mod ioctls;
mod next;
mod region;
mod settings;
mod sysfs;
mod user;
