//! What the tile kernels need of a tile unit, and how its registers are shaped.
//!
//! Two implementors: [`super::instructions::Instructions`], the processor's own, and in tests `model::Model`, the
//! architecture in plain Rust. The kernels are written once against [`Tiles`], so that blocking, edges and
//! configuration are tested on machines without AMX.

/// Rows of a tile register.
pub(crate) const ROWS: usize = 16;
/// Bytes of a row of a tile register.
pub(crate) const ROW_BYTES: usize = 64;

/// The operand of `ldtilecfg`: shapes of the tile registers, laid out as Intel's manual says (volume 1, 18.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct TileConfig {
    /// 1: eight registers of up to 16 rows of 64 bytes. 0 would be the state after `tilerelease`.
    pub(super) palette: u8,
    /// Where an interrupted load goes on; 0.
    pub(super) start_row: u8,
    pub(super) reserved: [u8; 14],
    /// Bytes of a row, per register; palette 1 has the first eight, the others must be 0.
    pub(super) row_bytes: [u16; 16],
    /// Rows, per register.
    pub(super) rows: [u8; 16],
}

const _: () = assert!(size_of::<TileConfig>() == 64);

impl TileConfig {
    /// Register `i` gets `rows[i]` rows of 64 bytes, or is not there where that is 0.
    pub(super) const fn palette1(rows: [u8; 8]) -> Self {
        let mut config =
            Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        let mut i = 0;
        while i < rows.len() {
            config.rows[i] = rows[i];
            config.row_bytes[i] = if rows[i] == 0 { 0 } else { ROW_BYTES as u16 };
            i += 1;
        }
        config
    }
}

/// The tile registers of one thread. Register numbers are constants, as in the instructions.
///
/// # Safety
///
/// Every method needs the instructions. All but `configure` and `release` need a configuration in which the
/// registers exist, with the shapes that the products demand: otherwise the processor faults. Pointers are read or
/// written for as many rows as the register has, 64 bytes each, `stride` bytes apart, at any alignment.
pub(crate) trait Tiles {
    /// `ldtilecfg`: shapes all registers, and zeroes them.
    unsafe fn configure(&mut self, config: &TileConfig);
    /// `tilerelease`: no registers until the next configuration.
    unsafe fn release(&mut self);
    /// `tilezero`.
    unsafe fn zero<const T: u8>(&mut self);
    /// `tileloadd`.
    unsafe fn load<const T: u8>(&mut self, from: *const u8, stride: usize);
    /// `tilestored`.
    unsafe fn store<const T: u8>(&mut self, to: *mut u8, stride: usize);
    /// `tdpbf16ps`: `C[i][j] += Σ A[i][2p]·B[p][2j] + A[i][2p+1]·B[p][2j+1]`, bf16 to f32, subnormals as zero.
    unsafe fn dot_bf16<const C: u8, const A: u8, const B: u8>(&mut self);
    /// `tdpbusd`: the like for quads of bytes, unsigned in A and signed in B, to i32.
    unsafe fn dot_u8_i8<const C: u8, const A: u8, const B: u8>(&mut self);
}
