//! Which vector instructions the arithmetic uses, found at run time.
//!
//! A [`Level`] can only be had from [`Level::detect`], [`Level::available`], [`Level::new`] or [`Level::require`], all
//! of which ask the CPU (and for AMX the system). Holding one is therefore the proof that lets the crate call code compiled for those instructions.

use crate::error::Error;
#[cfg(target_arch = "x86_64")]
use crate::kernels::{TileSession, TileUnit, amx_fault, amx_refusal};
use std::fmt;

/// The name of a family of kernels, whether or not this machine has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LevelKind {
    /// Plain Rust, on every target.
    Portable,
    /// x86-64 with AVX2, FMA and F16C (2013 and later).
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL, besides all of AVX2.
    Avx512,
    /// x86-64 with AMX for bf16 and int8 (Intel servers since 2023), and AVX-512 with VNNI and BF16 for the rest.
    ///
    /// Tested on a model of the tile unit, by the machine code of each instruction, and in an emulator; it has not run
    /// on silicon, so each process checks a few products before it uses it.
    Amx,
}

impl LevelKind {
    /// Every kind, slowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Amx];

    /// As it is typed and printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        }
    }
}

impl fmt::Display for LevelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A family of kernels that this machine can run.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Level {
    kind: LevelKind,
    vnni: bool,
    bf16: bool,
    #[cfg(target_arch = "x86_64")]
    tiles: Option<TileUnit>,
}

impl Level {
    const PORTABLE: Self = Self {
        kind: LevelKind::Portable,
        vnni: false,
        bf16: false,
        #[cfg(target_arch = "x86_64")]
        tiles: None,
    };

    /// The level named `kind`, or `None` if this machine lacks its instructions.
    #[must_use]
    pub fn new(kind: LevelKind) -> Option<Self> {
        Self::require(kind).ok()
    }

    /// The level named `kind`.
    ///
    /// # Errors
    /// When this machine cannot run it; says what is missing.
    pub fn require(kind: LevelKind) -> Result<Self, Error> {
        let level = Self { kind, ..Self::PORTABLE };
        let missing = match kind {
            LevelKind::Portable => return Ok(level),
            #[cfg(target_arch = "x86_64")]
            LevelKind::Avx2 if has_avx2() => return Ok(level),
            #[cfg(target_arch = "x86_64")]
            LevelKind::Avx2 => "the CPU lacks AVX2, FMA or F16C, or the system has not enabled them",
            #[cfg(target_arch = "x86_64")]
            _ if !has_avx512() => "the CPU lacks AVX-512 F, BW, DQ or VL, or the system has not enabled them",
            #[cfg(target_arch = "x86_64")]
            LevelKind::Avx512 => return Ok(level.with_dot_products()),
            #[cfg(target_arch = "x86_64")]
            LevelKind::Amx => match amx_refusal() {
                Some(refusal) => refusal,
                None => {
                    let level = Self { tiles: Some(TileUnit::Processor), ..level.with_dot_products() };
                    match amx_fault(level) {
                        Some(fault) => fault,
                        None => return Ok(level),
                    }
                }
            },
            #[cfg(not(target_arch = "x86_64"))]
            _ => "it is for x86-64 processors",
        };
        let there = LevelKind::ALL.into_iter().filter(|&other| other < kind && Self::new(other).is_some());
        let there: Vec<_> = there.map(LevelKind::name).collect();
        let hint = format!(
            "take another level (here: {}), or none: the fastest of the machine is found by itself",
            there.join(", ")
        );
        Err(Error::new(format!("using the level {kind}"), missing, hint))
    }

    /// AVX-512's dot products, where they are.
    #[cfg(target_arch = "x86_64")]
    fn with_dot_products(self) -> Self {
        Self {
            vnni: std::arch::is_x86_feature_detected!("avx512vnni"),
            bf16: std::arch::is_x86_feature_detected!("avx512bf16"),
            ..self
        }
    }

    /// The AMX level with the tile unit's model in place of the processor's, where AVX-512 with VNNI and BF16 is there
    /// for the rest: what the level is tested with on machines without AMX.
    #[cfg(all(test, target_arch = "x86_64"))]
    pub(crate) fn modelled_amx() -> Option<Self> {
        let level = Self::new(LevelKind::Avx512)?;
        let whole = level.vnni && level.bf16;
        whole.then_some(Self { kind: LevelKind::Amx, tiles: Some(TileUnit::Model), ..level })
    }

    /// Where products by tiles run, on levels that have them: proof that this machine can.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn tile_unit(self) -> Option<TileUnit> {
        self.tiles
    }

    /// Releases, when it is dropped, the tile registers that products have configured on this thread.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn hold_tiles(self) -> Option<TileSession> {
        self.tiles.map(|_| TileSession::new())
    }

    /// No level of this target has tile registers.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn hold_tiles(self) {}

    /// The fastest level of this machine.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().last().copied().unwrap_or(Self::PORTABLE)
    }

    /// Why [`Level::detect`] passes over a level whose instructions are there: AMX that failed its check, a few products with
    /// known results that each process tries before it first uses them.
    #[must_use]
    pub fn passed_over() -> Option<String> {
        #[cfg(target_arch = "x86_64")]
        if has_avx512() && amx_refusal().is_none() {
            let error = Self::require(LevelKind::Amx).err()?;
            return Some(format!("amx is passed over: {}", error.why));
        }
        None
    }

    /// Every level of this machine, slowest first; the first is always [`LevelKind::Portable`].
    #[must_use]
    pub fn available() -> Vec<Self> {
        LevelKind::ALL.into_iter().filter_map(Self::new).collect()
    }

    /// The family of this level.
    #[must_use]
    pub fn kind(self) -> LevelKind {
        self.kind
    }

    /// Whether integer dot products (AVX-512 VNNI) come with it.
    #[must_use]
    pub fn has_vnni(self) -> bool {
        self.vnni
    }

    /// Whether bfloat16 dot products (AVX-512 BF16) come with it.
    #[must_use]
    pub fn has_bf16(self) -> bool {
        self.bf16
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2") && has!("fma") && has!("f16c")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has_avx2() && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl")
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.vnni {
            f.write_str("+vnni")?;
        }
        if self.bf16 {
            f.write_str("+bf16")?;
        }
        #[cfg(all(test, target_arch = "x86_64"))]
        if self.tiles == Some(TileUnit::Model) {
            f.write_str(" (modelled)")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_first_and_detect_is_the_last() {
        let all = Level::available();
        assert_eq!(all[0].kind(), LevelKind::Portable);
        assert_eq!(all.last().copied(), Some(Level::detect()));
        for kind in LevelKind::ALL {
            assert_eq!(Level::new(kind).is_some(), all.iter().any(|level| level.kind() == kind), "{kind}");
        }
    }

    #[test]
    fn a_level_that_is_not_there_is_refused_with_what_is_missing() {
        for kind in LevelKind::ALL {
            match Level::require(kind) {
                Ok(level) => assert_eq!(level.kind(), kind),
                Err(error) => {
                    assert_eq!(error.what, format!("using the level {kind}"));
                    assert!(!error.why.is_empty() && !error.hint.is_empty(), "{error}");
                }
            }
        }
    }
}
