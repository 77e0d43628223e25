//! `manifest.toml`: every image and kernel, with its types, tile shapes, layouts, memory use and cycle figures.

mod check;
#[cfg(test)]
mod tests;

use serde::Deserialize;

use crate::{Arch, BufferRole, Error, Result};

/// The whole catalogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of the format; 1.
    pub version: u32,
    /// Versions of the tools that build it; for the Makefile.
    #[serde(default)]
    pub toolchain: toml::Table,
    /// What problems are padded to; with streamed images.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// The memtiles' reorders; without streamed images there need be none.
    #[serde(default)]
    pub reorder: Option<Reorders>,
    /// Array configurations.
    #[serde(default, rename = "image")]
    pub images: Vec<ImageSpec>,
    /// What the cores of an image can do.
    #[serde(default, rename = "kernel")]
    pub kernels: Vec<KernelSpec>,
}

/// What the owner of the buffers pads a problem to, and what it may not exceed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Rows come in multiples of this.
    pub m_granule: u32,
    /// Depth comes in multiples of this, by the type of A.
    pub k_granule: KGranule,
    /// Columns come in multiples of this for each column of the array.
    pub n_granule_per_column: u32,
    /// The greatest depth whose sums of int8 products cannot leave int32.
    pub max_k_i8: u32,
    /// Width of an attention head.
    pub head_dim: u32,
}

/// Granule of the depth for each type of A.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KGranule {
    /// In elements of bf16.
    pub bf16: u32,
    /// In elements of int8.
    pub i8: u32,
}

/// `[size, stride]` in 4-byte words, outermost first.
pub type Dims = Vec<[u32; 2]>;

/// What the memtiles' DMAs do to an object between DDR and the cores.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reorders {
    /// An object of A in L2, 64 rows of 256 bytes, to four objects of a core.
    pub a: Dims,
    /// An object of B.
    pub b: Dims,
    /// An object of C, from its core.
    pub c: Dims,
}

/// How an image is driven.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ImageKind {
    /// The whole array, driven by streams of objects ([`Program`](crate::kernel::Program)).
    Streamed,
    /// One core: whole buffers in, one call, the result out.
    Direct,
}

/// One array configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Its name.
    pub name: String,
    /// How it is driven.
    pub kind: ImageKind,
    /// Generations that it is built for.
    pub arches: Vec<ManifestArch>,
    /// The design script.
    pub design: String,
    /// Bytes of each core's memory for the stack.
    pub stack_bytes: u32,
    /// The other buffers in each core's memory.
    pub l1: Vec<L1Buffer>,
}

/// A buffer in a core's memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L1Buffer {
    /// Its name.
    pub name: String,
    /// Bytes of one.
    pub bytes: u32,
    /// How many.
    #[serde(default = "one")]
    pub count: u32,
}

fn one() -> u32 {
    1
}

/// A generation as the manifest writes it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ManifestArch {
    /// [`Arch::Aie2`].
    Aie2,
    /// [`Arch::Aie2p`].
    Aie2p,
}

impl From<ManifestArch> for Arch {
    fn from(arch: ManifestArch) -> Self {
        match arch {
            ManifestArch::Aie2 => Self::Aie2,
            ManifestArch::Aie2p => Self::Aie2p,
        }
    }
}

/// A figure for both generations, or one for each.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum PerArch<T> {
    /// The same for both.
    Both(T),
    /// One for each that the image is built for.
    Each {
        /// Of AIE2.
        aie2: Option<T>,
        /// Of AIE2P.
        aie2p: Option<T>,
    },
}

impl<T: Copy> PerArch<T> {
    /// The figure of `arch`, if there is one.
    #[must_use]
    pub fn of(&self, arch: Arch) -> Option<T> {
        match *self {
            Self::Both(figure) => Some(figure),
            Self::Each { aie2, aie2p } => match arch {
                Arch::Aie2 => aie2,
                Arch::Aie2p => aie2p,
            },
        }
    }
}

/// A type of elements.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// Brain float.
    Bf16,
    /// 8-bit integer.
    I8,
    /// 32-bit integer.
    I32,
    /// Single precision.
    F32,
}

/// One thing that a core can do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSpec {
    /// Its name.
    pub name: String,
    /// The image that it is part of.
    pub image: String,
    /// Its number in parameter objects; for streamed images.
    pub op: Option<u32>,
    /// Type of A; for streamed images, like the next three.
    pub a: Option<ElementType>,
    /// Type of B.
    pub b: Option<ElementType>,
    /// Type of the sums.
    pub accumulate: Option<ElementType>,
    /// Type of C.
    pub c: Option<ElementType>,
    /// The `aie::mmul` shape `[r, s, t]` of its inner loop.
    pub mmul: PerArch<[u32; 3]>,
    /// Rows of a tile.
    pub m: Option<u32>,
    /// Depth of one step.
    pub k: Option<u32>,
    /// Columns of a tile.
    pub n: Option<u32>,
    /// Multiply-accumulates of a core in a cycle at its peak.
    pub peak_macs: PerArch<f64>,
    /// Share of the peak that the inner loop reaches.
    pub efficiency: PerArch<f64>,
    /// Cycles of the epilogue for each element put out.
    #[serde(default = "nothing")]
    pub finish_cycles_per_element: PerArch<f64>,
    /// Further ones with GELU.
    #[serde(default = "nothing")]
    pub gelu_cycles_per_element: PerArch<f64>,
    /// Cycles of the online softmax for each score.
    #[serde(default = "nothing")]
    pub softmax_cycles_per_element: PerArch<f64>,
    /// Cycles more for each score if the parameters' scale is not 1.
    #[serde(default = "nothing")]
    pub scale_cycles_per_element: PerArch<f64>,
    /// The C function; for direct images.
    pub call: Option<String>,
    /// The shift that it is called with, where it takes one; for direct images.
    pub shift: Option<i32>,
    /// Its buffers in order; for direct images.
    #[serde(default)]
    pub arguments: Vec<DirectArgument>,
}

fn nothing() -> PerArch<f64> {
    PerArch::Both(0.0)
}

/// A buffer of a direct kernel.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DirectArgument {
    /// What the kernel does with it.
    pub role: DirectRole,
    /// Its length.
    pub bytes: u32,
}

/// What a direct kernel does with a buffer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum DirectRole {
    /// Reads it.
    Input,
    /// Writes it.
    Output,
    /// Adds to it: moved in and out.
    Accumulate,
}

impl DirectRole {
    /// The role of the launch argument.
    #[must_use]
    pub fn buffer_role(self) -> BufferRole {
        match self {
            Self::Input => BufferRole::Input,
            // The device reads it too; the host need not write it, for a new buffer is zero.
            Self::Output | Self::Accumulate => BufferRole::Output,
        }
    }
}

impl Manifest {
    /// The one that the binary carries.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn embedded() -> Result<Self> {
        Self::parse(npu_kernels::MANIFEST)
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`Error::Image`] with everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let broken = |why: String| Error::Image { why: format!("the kernels' manifest is broken: {why}") };
        let manifest: Self = toml::from_str(text).map_err(|error| broken(error.to_string()))?;
        let faults = check::faults(&manifest);
        if faults.is_empty() { Ok(manifest) } else { Err(broken(faults.join("; "))) }
    }

    /// The image called `name`.
    #[must_use]
    pub fn image(&self, name: &str) -> Option<&ImageSpec> {
        self.images.iter().find(|image| image.name == name)
    }

    /// The kernels of the image called `name`, in their order.
    pub fn kernels_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a KernelSpec> {
        self.kernels.iter().filter(move |kernel| kernel.image == name)
    }
}
