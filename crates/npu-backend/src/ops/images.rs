//! Where the overlay and its instruction streams come from.

use crate::Result;
use crate::device::{Arch, KernelImage};
use crate::kernel::Program;
use crate::schedule::{
    AttentionProblem, GemmKind, GemmProblem, Grid, Int8AttentionProblem, attention, attention_int8, gemm,
};

/// An operation with everything that its instruction stream depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A product.
    Gemm(GemmProblem),
    /// Attention.
    Attention(AttentionProblem),
    /// Attention in int8.
    Int8Attention(Int8AttentionProblem),
}

impl Operation {
    /// Its program.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape).
    pub fn plan(&self, grid: Grid) -> Result<Program> {
        match self {
            Self::Gemm(problem) => gemm::plan(grid, problem),
            Self::Attention(problem) => attention::plan(grid, problem),
            Self::Int8Attention(problem) => attention_int8::plan(grid, problem),
        }
    }

    /// The name of its stream, in messages and among built files.
    #[must_use]
    pub fn name(&self, grid: Grid) -> String {
        match self {
            Self::Gemm(p) => {
                let kind = match p.kind {
                    GemmKind::Bf16 => "gemm_bf16",
                    GemmKind::Int8Int32 => "gemm_i8_i32",
                    GemmKind::Int8Bf16 => "gemm_i8_bf16",
                    GemmKind::Int8Int8 => "gemm_i8_i8",
                };
                format!(
                    "{kind}_{}x{}x{}_a{}+{}_c{}+{}{}",
                    p.padded_rows(grid),
                    p.a_row_bytes() / p.kind.input_bytes(),
                    p.padded_columns(grid),
                    p.a.offset_bytes,
                    p.a.row_stride_bytes,
                    p.c.offset_bytes,
                    p.c.row_stride_bytes,
                    p.residual
                        .map_or(String::new(), |r| format!("_r{}+{}", r.offset_bytes, r.row_stride_bytes)),
                )
            }
            Self::Attention(p) => format!(
                "attention_bf16_{}x{}x{}_q{}_k{}_v{}_o{}+{}",
                p.heads,
                p.rows,
                p.frames,
                p.q.offset_bytes,
                p.k.offset_bytes,
                p.v.offset_bytes,
                p.out.offset_bytes,
                p.out.row_stride_bytes,
            ),
            Self::Int8Attention(p) => format!(
                "attention_i8_{}x{}_o{}+{}",
                p.heads, p.frames, p.out.offset_bytes, p.out.row_stride_bytes
            ),
        }
    }
}

/// The overlay and its streams for one device.
pub trait Images: Send {
    /// The overlay, without streams.
    ///
    /// # Errors
    /// [`Error::Image`](crate::Error::Image) if it is not there for this generation.
    fn overlay(&self, arch: Arch) -> Result<KernelImage>;

    /// The words of a stream.
    ///
    /// # Errors
    /// [`Error::Image`](crate::Error::Image) if none was built for this operation.
    fn words(&self, name: &str, program: &Program) -> Result<Vec<u32>>;
}
