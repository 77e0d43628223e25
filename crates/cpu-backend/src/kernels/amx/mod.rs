//! Products by AMX, the matrix unit of Intel's server processors since Sapphire Rapids (2023): bf16 and bytes.
//!
//! The rest of the level is AVX-512's. Where things are:
//!
//! | what | where |
//! |---|---|
//! | whether it may be used: CPUID, XCR0, the system's permission | [`permission`] |
//! | the operations on tile registers, and their shapes | [`tiles`] |
//! | the processor's own | [`instructions`] |
//! | the architecture in plain Rust, for tests | `model` |
//! | a product of 32 rows with a panel, for both | [`product`] |
//! | the level's products, as `Level` calls them | [`products`] |
//! | whether products are right on this processor | [`check`] |
//! | when a thread's registers are configured and released | [`TileSession`] |
//!
//! # Rules for the registers
//!
//! *Configuration.* The first product on a thread configures its registers, all alike, and the [`TileSession`] held
//! around each task of an operation releases them at its end, also when it panics. Nothing is kept between tasks: a
//! thread that holds tile state has 8 KiB more to save on each context switch, may keep its core from deep sleep, and
//! may belong to a caller who uses AMX as well. The System V ABI counts tile state as lost by any call, so that
//! caller expects this.
//!
//! *Context switches.* The system saves and restores tile state with the other registers; the first tile
//! instruction of a thread traps, and Linux then gives the thread room for it (about 11 KiB in all).
//!
//! *Signals.* A frame on an alternate signal stack grows by as much. Linux refuses the permission while such a stack
//! is too small, and refuses such stacks afterwards; those that Rust makes for its threads have the size the system
//! asks for.
//!
//! # What was proven, and how
//!
//! Written on a machine without AMX, this level has **not run on silicon**, and its speed is unknown. Blocking, edges,
//! configurations and the whole level around them run in tests on a model of the architecture (`model`): against f64,
//! and to the last bit against AVX-512 where the arithmetic is the same. The machine code of each instruction, as each
//! build has it, is decoded and compared with Intel's manual (`encoding`).
//!
//! The instructions themselves, and the system's permission, have run in an emulator: the tests of this folder and of
//! the level (`cargo test -p cpu-backend --lib amx`) in Bochs (3.0 and later, commit 783b58f) as a Sapphire Rapids under
//! Debian's Linux 6.1. Bochs had to be mended for it: `tdpbusd` took its signed bytes as unsigned (`cpu/avx/amx.cc`);
//! `vcvtne2ps2bf16` read past its first operand (`cpu/avx/avx512_bf16.cc`); XSAVE kept 8 of 16 rows, and only of tiles
//! that were not in use (`cpu/xsave.cc`); the trap at a thread's first use (XFD), without which Linux permits nothing,
//! was not there.
//!
//! # Sums
//!
//! `tdpbf16ps` adds the first and the second products of 16 pairs in two chains of f32, then both to the sum. It takes
//! subnormal numbers as zero and makes none, like `vdpbf16ps`. `tdpbusd` is exact up to a depth of 65,793: the sum
//! of as many 255 · 128 is below 2³¹.

mod check;
#[cfg(test)]
mod encoding;
mod instructions;
#[cfg(test)]
mod model;
mod permission;
mod product;
mod products;
mod session;
mod tiles;

pub(crate) use check::fault;
pub(crate) use permission::refusal;
pub(crate) use product::HEIGHT;
pub(crate) use products::{tile_bf16, tile_f32, tile_u8};
#[cfg(test)]
pub(crate) use session::tiles_are_configured;
pub(crate) use session::{TileSession, TileUnit};
