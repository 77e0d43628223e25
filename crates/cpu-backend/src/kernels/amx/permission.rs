//! Whether this process may use AMX: the processor has it (and the AVX-512 for what is not tiles), the system has
//! enabled it, and permits it.
//!
//! Linux (5.16 and later) lets a process use tile data only after it asked, once, for all of its threads
//! (`Documentation/arch/x86/xstate.rst`). Without that, the first tile instruction is a SIGILL.

use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::sync::OnceLock;

/// What `cpuid` and `xgetbv` tell.
#[derive(Clone, Copy, Debug, Default)]
struct Processor {
    /// EDX of leaf 7, subleaf 0.
    leaf7_edx: u32,
    /// AVX-512 with dot products of bytes (VNNI) and of bf16.
    vector_dots: bool,
    /// The state components that the system has enabled.
    xcr0: u64,
}

/// (bit of EDX, name)
const FEATURES: [(u32, &str); 3] = [(22, "AMX-BF16"), (24, "AMX-TILE"), (25, "AMX-INT8")];
/// Tile configuration (17) and tile data (18).
const TILE_STATE: u64 = 0b11 << 17;

/// Why the AMX level cannot be used, or `None` if it can. Asks the system at the first call, for the whole process.
pub(crate) fn refusal() -> Option<&'static str> {
    static ANSWER: OnceLock<Option<String>> = OnceLock::new();
    ANSWER.get_or_init(|| find_refusal(Processor::here(), request_permission)).as_deref()
}

fn find_refusal(processor: Processor, request: impl FnOnce() -> Result<(), String>) -> Option<String> {
    let missing = FEATURES.into_iter().find(|(bit, _)| processor.leaf7_edx >> bit & 1 == 0);
    if let Some((bit, name)) = missing {
        return Some(format!("the CPU has no {name} (CPUID leaf 7, EDX bit {bit})"));
    }
    if !processor.vector_dots {
        return Some("the CPU has AMX, but no AVX-512 VNNI or no AVX-512 BF16".into());
    }
    if processor.xcr0 & TILE_STATE != TILE_STATE {
        let xcr0 = processor.xcr0;
        return Some(format!(
            "the system has not enabled tile state (XCR0 is {xcr0:#x}, bits 17 and 18 are wanted)"
        ));
    }
    request().err()
}

impl Processor {
    fn here() -> Self {
        use std::arch::is_x86_feature_detected as has;
        // AVX2 tells that leaf 7 is there, AVX that the system uses XSAVE.
        if !has!("avx2") || !has!("xsave") {
            return Self::default();
        }
        // SAFETY: `xsave` was detected, which takes the system's use of it (OSXSAVE).
        let xcr0 = unsafe { enabled_state() };
        let vector_dots = has!("avx512vnni") && has!("avx512bf16");
        Self { leaf7_edx: __cpuid_count(7, 0).edx, vector_dots, xcr0 }
    }
}

/// # Safety
/// XSAVE, and a system that has enabled it.
#[target_feature(enable = "xsave")]
unsafe fn enabled_state() -> u64 {
    // SAFETY: the instruction is enabled by the caller's word; register 0 is always there.
    unsafe { _xgetbv(0) }
}

/// Asks Linux to let this process use tile data; asking twice is harmless.
#[cfg(target_os = "linux")]
fn request_permission() -> Result<(), String> {
    const ARCH_PRCTL: u64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let answer: i64;
    // SAFETY: a system call that takes two numbers and touches no memory of this process; the kernel overwrites rcx
    // and r11, which are declared.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => answer, in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") TILE_DATA,
            lateout("rcx") _, lateout("r11") _, options(nostack),
        );
    }
    if answer == 0 {
        return Ok(());
    }
    let error = std::io::Error::from_raw_os_error(i32::try_from(-answer).unwrap_or(i32::MAX));
    // The four that the kernel's documentation and a sandbox can give.
    let cause = match -answer {
        1 => "a sandbox forbids it",
        22 => "the kernel is older than 5.16",
        28 => "an alternate signal stack of this process is too small for tile data",
        95 => "the kernel does not handle tile data",
        _ => "for a reason unknown to this program",
    };
    Err(format!("Linux refused arch_prctl(ARCH_REQ_XCOMP_PERM): {error}; {cause}"))
}

#[cfg(not(target_os = "linux"))]
fn request_permission() -> Result<(), String> {
    Err("how to ask for tile data is known for Linux only".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ALL: Processor =
        Processor { leaf7_edx: 1 << 22 | 1 << 24 | 1 << 25, vector_dots: true, xcr0: 0x6_02e7 };

    #[test]
    fn each_thing_that_may_be_missing_is_named() {
        let asked = |processor| find_refusal(processor, || Ok(()));
        assert_eq!(asked(ALL), None);
        for (bit, name) in FEATURES {
            let without = Processor { leaf7_edx: ALL.leaf7_edx & !(1 << bit), ..ALL };
            let refused = find_refusal(without, || unreachable!("asks for what is not there")).unwrap();
            assert!(refused.contains(name), "{refused}");
        }
        assert!(asked(Processor { vector_dots: false, ..ALL }).unwrap().contains("VNNI"));
        for xcr0 in [0x2e7, 0x2_02e7, 0x4_02e7] {
            assert!(asked(Processor { xcr0, ..ALL }).unwrap().contains("tile state"));
        }
        assert_eq!(find_refusal(ALL, || Err("no".into())).as_deref(), Some("no"));
    }

    /// The call itself runs everywhere: where there is no AMX, the kernel says so in a number that is understood.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_answers_the_question() {
        let answer = request_permission();
        match refusal() {
            None => assert_eq!(answer, Ok(())),
            Some(_) if Processor::here().xcr0 & TILE_STATE == 0 => {
                let refused = answer.unwrap_err();
                assert!(refused.contains("ARCH_REQ_XCOMP_PERM") && !refused.contains("unknown"), "{refused}");
            }
            Some(_) => {}
        }
    }
}
