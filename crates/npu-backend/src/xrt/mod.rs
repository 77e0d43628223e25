//! Hardware, through AMD's XRT: the one room of this crate that leaves Rust's rules.
//!
//! ```text
//! XrtDevice ─▶ handles ─▶ table of functions (bindings) ─▶ libnpu_xrt_shim.so ─▶ libxrt_coreutil ─▶ libxrt_driver_xdna ─▶ kernel
//! ```
//!
//! The shim is opened at run time (`library`), so a program starts on machines without XRT. What XRT gets wrong silently is
//! not expressible here: buffers stand at the kernel's buffer arguments, in the memory bank that the kernel is connected to, and
//! the number of words comes with the words.
//!
//! | file | what is in it |
//! |---|---|
//! | `../../shim/` | the C++, and its header |
//! | `bindings` | the header in Rust, made by bindgen |
//! | `library`, `load_error` | finding and opening the shim; why none opens: [`LoadError`] |
//! | `failure` | what the shim says, sorted by what a caller can do about it |
//! | `handles` | one safe type for each handle; each gives itself back |
//! | `context` | an image: its hardware context, its kernel, its instruction streams |
//! | `memory` | buffers, and who uses them |
//! | `plan` | batches made into commands, kept and run again; tickets |
//! | `device` | [`Device`](crate::Device) on all that |
//! | `checks` | what is refused before it runs |
//! | `geometry`, `find` | which NPUs there are, by number and name; which of XRT's devices is one |
//! | `diagnose` | why there is no device |

#[allow(
    non_camel_case_types,
    unreachable_pub,
    missing_docs,
    dead_code,
    reason = "the header's names, which has the comments; what only C++ needs is not used"
)]
mod bindings;
mod checks;
mod context;
mod device;
mod diagnose;
mod failure;
mod find;
mod geometry;
mod handles;
mod library;
mod load_error;
mod memory;
mod plan;

#[cfg(test)]
mod tests;

pub use device::XrtDevice;
pub use diagnose::node_exists;
pub use geometry::{Npu, npu_by_name, npu_by_pci};
pub use library::{SHIM_VARIABLE, runtime_folder, shim};
pub use load_error::LoadError;
