//! The machine code of each tile instruction, as this build has it, field by field against Intel's manual.
//!
//! The assembler is trusted with nothing: each method of `Instructions` is compiled into a function of its own, whose
//! bytes are decoded here. Which registers hold addresses is the compiler's choice, so that bytes are compared where
//! there are none and fields where there are.

use super::instructions::Instructions;
use super::tiles::{TileConfig, Tiles};

/// Fields of an instruction with a three-byte VEX prefix and no displacement but possibly a byte.
#[derive(Debug, PartialEq, Eq)]
struct Vex {
    /// 1: 66, 2: F3, 3: F2.
    pp: u8,
    /// 2: 0F 38.
    map: u8,
    w: u8,
    l: u8,
    /// Second source, as a number (stored inverted).
    vvvv: u8,
    opcode: u8,
    /// 3: registers; otherwise memory.
    mode: u8,
    reg: u8,
    rm: u8,
    /// The scale, and whether there is an index, where there is a SIB byte.
    sib: Option<(u8, bool)>,
}

/// The first instruction of map 0F 38 within a function's code, and its bytes up to ModRM.
fn first_tile_instruction(function: *const ()) -> (Vex, [u8; 5]) {
    let code = function.cast::<u8>();
    for at in 0..64 {
        // SAFETY: each function holds such an instruction, and nothing before it is longer than 64 bytes.
        let bytes: [u8; 6] = std::array::from_fn(|i| unsafe { code.add(at + i).read() });
        let [prefix, byte1, byte2, opcode, modrm, sib] = bytes;
        if prefix != 0xc4 || byte1 & 0x1f != 2 || ![0x49, 0x4b, 0x5c, 0x5e].contains(&opcode) {
            continue;
        }
        // X̅ of the prefix is bit 3 of the index; 0100 means none.
        let has_index = (sib >> 3 & 7) != 4 || byte1 & 0x40 == 0;
        let memory = modrm >> 6 != 3;
        let vex = Vex {
            pp: byte2 & 3,
            map: byte1 & 0x1f,
            w: byte2 >> 7,
            l: byte2 >> 2 & 1,
            vvvv: !byte2 >> 3 & 15,
            opcode,
            mode: modrm >> 6,
            // R̅ is bit 3; a tile register has none.
            reg: modrm >> 3 & 7 | (!byte1 >> 7 & 1) << 3,
            rm: modrm & 7,
            sib: (memory && modrm & 7 == 4).then_some((sib >> 6, has_index)),
        };
        return (vex, [prefix, byte1, byte2, opcode, modrm]);
    }
    panic!("no tile instruction in 64 bytes");
}

macro_rules! function {
    (($($arg:ident: $kind:ty),*) => $body:expr) => {{
        #[inline(never)]
        unsafe extern "C" fn code($($arg: $kind),*) {
            // SAFETY: never called, only read.
            unsafe { $body }
        }
        code as *const ()
    }};
}

/// Intel's manual, volume 2: `TDPBF16PS tmm1, tmm2, tmm3` is VEX.128.F3.0F38.W0 5C, `TDPBUSD` VEX.128.66.0F38.W0 5E,
/// both with tmm1 in ModRM.reg, tmm2 in ModRM.rm, tmm3 in VEX.vvvv; `TILEZERO` VEX.128.F2.0F38.W0 49 11:rrr:000;
/// `TILERELEASE` VEX.128.NP.0F38.W0 49 C0.
#[test]
fn instructions_on_registers_are_these_bytes() {
    let bytes = |function| first_tile_instruction(function).1;
    assert_eq!(bytes(function!(() => Instructions.dot_bf16::<0, 4, 6>())), [0xc4, 0xe2, 0x4a, 0x5c, 0xc4]);
    assert_eq!(bytes(function!(() => Instructions.dot_bf16::<3, 5, 7>())), [0xc4, 0xe2, 0x42, 0x5c, 0xdd]);
    assert_eq!(bytes(function!(() => Instructions.dot_u8_i8::<0, 4, 6>())), [0xc4, 0xe2, 0x49, 0x5e, 0xc4]);
    assert_eq!(bytes(function!(() => Instructions.dot_u8_i8::<2, 5, 6>())), [0xc4, 0xe2, 0x49, 0x5e, 0xd5]);
    assert_eq!(bytes(function!(() => Instructions.zero::<3>())), [0xc4, 0xe2, 0x7b, 0x49, 0xd8]);
    assert_eq!(bytes(function!(() => Instructions.release())), [0xc4, 0xe2, 0x78, 0x49, 0xc0]);
}

/// `LDTILECFG m512` is VEX.128.NP.0F38.W0 49 !(11):000:bbb; `TILELOADD` VEX.128.F2.0F38.W0 4B !(11):rrr:100 and
/// `TILESTORED` VEX.128.F3.0F38.W0 4B !(11):rrr:100, where the index register is the stride.
#[test]
fn instructions_on_memory_have_these_fields() {
    let fields = |function| first_tile_instruction(function).0;
    let vex = Vex { pp: 0, map: 2, w: 0, l: 0, vvvv: 0, opcode: 0x49, mode: 0, reg: 0, rm: 0, sib: None };

    let got = fields(function!((config: &TileConfig) => Instructions.configure(config)));
    assert!(got.mode != 3, "{got:?}");
    assert_eq!(got, Vex { mode: got.mode, rm: got.rm, sib: got.sib, ..vex });

    // A base of r13 or rbp takes a displacement of one byte, mode 1.
    let sib = Some((0, true));
    let got = fields(function!((from: *const u8, stride: usize) => Instructions.load::<5>(from, stride)));
    assert!(got.mode < 2, "{got:?}");
    assert_eq!(got, Vex { pp: 3, opcode: 0x4b, mode: got.mode, reg: 5, rm: 4, sib, ..vex });

    let got = fields(function!((to: *mut u8, stride: usize) => Instructions.store::<3>(to, stride)));
    assert!(got.mode < 2, "{got:?}");
    assert_eq!(got, Vex { pp: 2, opcode: 0x4b, mode: got.mode, reg: 3, rm: 4, sib, ..vex });
}

/// The block that `ldtilecfg` reads, byte by byte (volume 1, 18.2.1): palette, start row, 14 reserved, bytes of a
/// row as 16 little-endian numbers, rows as 16 bytes.
#[test]
fn the_configuration_is_laid_out_as_the_processor_reads_it() {
    let config = TileConfig::palette1([16, 16, 3, 3, 16, 3, 0, 16]);
    // SAFETY: 64 bytes without padding, all initialised.
    let bytes = unsafe { std::mem::transmute::<TileConfig, [u8; 64]>(config) };
    let mut want = [0; 64];
    want[0] = 1;
    for register in 0..8 {
        want[16 + 2 * register] = if register == 6 { 0 } else { 64 };
        want[48 + register] = [16, 16, 3, 3, 16, 3, 0, 16][register];
    }
    assert_eq!(bytes, want);
}
