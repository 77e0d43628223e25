//! Which vector instructions the arithmetic uses, found at run time.
//!
//! A [`Level`] can only be had from [`Level::detect`], [`Level::available`] or [`Level::new`], all of which ask
//! the CPU. Holding one is therefore the proof that lets the crate call code compiled for those instructions.

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
}

impl LevelKind {
    /// Every kind, slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];
}

impl fmt::Display for LevelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

/// A family of kernels that this machine can run.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Level {
    kind: LevelKind,
    vnni: bool,
    bf16: bool,
}

impl Level {
    /// The level named `kind`, or `None` if this machine lacks its instructions.
    #[must_use]
    pub fn new(kind: LevelKind) -> Option<Self> {
        let portable = Self { kind, vnni: false, bf16: false };
        match kind {
            LevelKind::Portable => Some(portable),
            #[cfg(target_arch = "x86_64")]
            LevelKind::Avx2 => has_avx2().then_some(portable),
            #[cfg(target_arch = "x86_64")]
            LevelKind::Avx512 => has_avx512().then(|| Self {
                kind,
                vnni: std::arch::is_x86_feature_detected!("avx512vnni"),
                bf16: std::arch::is_x86_feature_detected!("avx512bf16"),
            }),
            #[cfg(not(target_arch = "x86_64"))]
            _ => None,
        }
    }

    /// The fastest level of this machine.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().last().copied().unwrap_or(Self {
            kind: LevelKind::Portable,
            vnni: false,
            bf16: false,
        })
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
}
