//! The tile unit of the processor, one instruction a method.
//!
//! Rust has no stable type for a tile register. What one block leaves in the registers, the next finds there: the
//! compiler never touches them, because no function of this crate is compiled with a feature that would let it
//! (`amx-*`), and a called function has no reason to. The system saves them on a context switch.
//!
//! Blocks that take an address have neither `nomem` nor `readonly`: the compiler must have stored all of the
//! operand, which is larger than any type that the block names, and must load again what it changed.

use super::tiles::{TileConfig, Tiles};
use std::arch::asm;

/// The registers of the thread that it is used on.
pub(crate) struct Instructions;

impl Tiles for Instructions {
    #[inline(always)]
    unsafe fn configure(&mut self, config: &TileConfig) {
        // SAFETY: reads the 64 bytes of the configuration, which is valid by construction; the caller vouches for
        // the instruction.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) std::ptr::from_ref(config), options(nostack, preserves_flags));
        }
    }

    #[inline(always)]
    unsafe fn release(&mut self) {
        // SAFETY: touches the tile state only; the caller vouches for the instruction.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }

    #[inline(always)]
    unsafe fn zero<const T: u8>(&mut self) {
        // SAFETY: touches a tile register only; the caller vouches for it.
        unsafe { asm!("tilezero tmm{t}", t = const T, options(nomem, nostack, preserves_flags)) }
    }

    #[inline(always)]
    unsafe fn load<const T: u8>(&mut self, from: *const u8, stride: usize) {
        // SAFETY: the caller vouches for the register and for the rows read.
        unsafe {
            asm!(
                "tileloadd tmm{t}, [{from} + {stride}*1]",
                t = const T, from = in(reg) from, stride = in(reg) stride,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn store<const T: u8>(&mut self, to: *mut u8, stride: usize) {
        // SAFETY: the caller vouches for the register and for the rows written.
        unsafe {
            asm!(
                "tilestored [{to} + {stride}*1], tmm{t}",
                t = const T, to = in(reg) to, stride = in(reg) stride,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn dot_bf16<const C: u8, const A: u8, const B: u8>(&mut self) {
        // SAFETY: touches tile registers only; the caller vouches for their shapes.
        unsafe {
            asm!(
                "tdpbf16ps tmm{c}, tmm{a}, tmm{b}",
                c = const C, a = const A, b = const B,
                options(nomem, nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn dot_u8_i8<const C: u8, const A: u8, const B: u8>(&mut self) {
        // SAFETY: touches tile registers only; the caller vouches for their shapes.
        unsafe {
            asm!(
                "tdpbusd tmm{c}, tmm{a}, tmm{b}",
                c = const C, a = const A, b = const B,
                options(nomem, nostack, preserves_flags),
            );
        }
    }
}
