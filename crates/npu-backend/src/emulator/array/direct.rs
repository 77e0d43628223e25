//! Direct images: one core takes whole buffers, runs one kernel once and gives the results back.

use super::Output;
use super::cost::{KernelCost, Work, weighted};
use super::fault::{ArrayFault, Port};
use super::l1::L1;
use super::native::{Kernels, Shift};
use super::streams::check;
use crate::Arch;
use crate::kernel::Tap;
use crate::kernel::manifest::{DirectRole, KernelSpec};

/// The functions that direct images call: each takes one buffer and fills another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    MatmulI8,
    MatmulI32,
    MatmulAccI32,
    /// With the shift of its scores.
    AttentionI8(Shift),
}

impl Function {
    fn of(kernel: &KernelSpec) -> Option<Self> {
        Some(match (kernel.call.as_deref()?, kernel.shift) {
            ("matmul_16x16_i8", None) => Self::MatmulI8,
            ("matmul_16x16_i32", None) => Self::MatmulI32,
            ("matmul_16x16_acc_i32", None) => Self::MatmulAccI32,
            ("attention_64x64_i8", Some(shift)) => Self::AttentionI8(Shift::new(shift)?),
            _ => return None,
        })
    }

    /// Bytes of the buffers, and what is done with the second.
    fn signature(self) -> ([u32; 2], DirectRole) {
        match self {
            Self::MatmulI8 => ([512, 256], DirectRole::Output),
            Self::MatmulI32 => ([512, 1024], DirectRole::Output),
            Self::MatmulAccI32 => ([512, 1024], DirectRole::Accumulate),
            Self::AttentionI8(_) => ([12288, 4096], DirectRole::Output),
        }
    }

    fn taps(self) -> [Tap; 2] {
        let ([input, output], _) = self.signature();
        [Tap::linear(0, 0, input), Tap::linear(1, 0, output)]
    }

    fn macs(self) -> u64 {
        match self {
            Self::MatmulI8 | Self::MatmulI32 | Self::MatmulAccI32 => 16 * 16 * 16,
            Self::AttentionI8(_) => 2 * 64 * 64 * 64,
        }
    }

    fn elements(self) -> u64 {
        match self {
            Self::MatmulI8 | Self::MatmulI32 | Self::MatmulAccI32 => 16 * 16,
            Self::AttentionI8(_) => 64 * 64,
        }
    }

    /// What the second buffer holds after the call, if it held `before`.
    fn call(self, kernels: &Kernels, input: &[u8], before: &[u8]) -> Vec<u8> {
        match self {
            Self::MatmulI8 => call(input, before, |a_then_b, c| kernels.matmul_16x16_i8(a_then_b, c)),
            Self::MatmulI32 => call(input, before, |a_then_b, c| kernels.matmul_16x16_i32(a_then_b, c)),
            Self::MatmulAccI32 => {
                call(input, before, |a_then_b, c| kernels.matmul_16x16_acc_i32(a_then_b, c))
            }
            Self::AttentionI8(shift) => {
                call(input, before, |q_k_v, out| kernels.attention_64x64_i8(q_k_v, out, shift))
            }
        }
    }
}

/// Moves both buffers into a core, whole, and the second one back.
fn call<const I: usize, const O: usize>(
    input: &[u8],
    before: &[u8],
    function: impl FnOnce(&L1<I>, &mut L1<O>),
) -> Vec<u8> {
    let (mut from, mut to) = (Box::new(L1::zeroed()), Box::new(L1::zeroed()));
    from.0.copy_from_slice(input);
    to.0.copy_from_slice(before);
    function(&from, &mut to);
    to.0.to_vec()
}

/// One kernel of a direct image.
#[derive(Debug)]
pub(crate) struct DirectEntry {
    function: Function,
    work: Work,
}

impl DirectEntry {
    /// Of a kernel of the manifest.
    ///
    /// # Errors
    /// What the manifest says that the code does not do.
    pub(crate) fn new(kernel: &KernelSpec, arch: Arch) -> Result<Self, String> {
        let Some(function) = Function::of(kernel) else {
            return Err(format!("there is no function {:?} with shift {:?}", kernel.call, kernel.shift));
        };
        let (bytes, role) = function.signature();
        let declared = kernel.arguments.iter().map(|argument| (argument.role, argument.bytes));
        if !declared.eq([DirectRole::Input, role].into_iter().zip(bytes)) {
            return Err(format!("{function:?} takes {bytes:?} bytes, the second as {role:?}"));
        }
        let cost = KernelCost::of(kernel, arch).ok_or_else(|| format!("no figures for {arch:?}"))?;
        let [input, output] = function.taps();
        let moved_in =
            input.len_bytes() + if role == DirectRole::Accumulate { output.len_bytes() } else { 0 };
        let work = Work {
            compute_cycles: cost.cycles(function.macs(), function.elements()),
            stream_cycles: moved_in.max(output.len_bytes()).div_ceil(4) as u64,
            ddr_read_bytes: moved_in as u64,
            ddr_written_bytes: output.len_bytes() as u64,
            ddr_weighted_bytes: weighted(&input)
                + weighted(&output) * if role == DirectRole::Accumulate { 2 } else { 1 },
            // Nothing overlaps: all comes in, one call, all goes out.
            prologue_bytes: moved_in as u64,
            drain_bytes: output.len_bytes() as u64,
            macs: function.macs(),
        };
        Ok(Self { function, work })
    }

    /// Runs it on its arguments; without kernels its output is poison.
    ///
    /// # Errors
    /// [`ArrayFault::OutOfRange`] if an argument is missing or short.
    pub(crate) fn run(
        &self,
        kernels: Option<&Kernels>,
        arguments: &[&[u8]],
    ) -> Result<(Work, Vec<Output>), ArrayFault> {
        let [input, output] = self.function.taps();
        check(Port::A(0), &input, arguments)?;
        check(Port::C(0), &output, arguments)?;
        let part = |tap: &Tap| &arguments[tap.argument as usize][..tap.len_bytes()];
        let output = match kernels {
            Some(kernels) => Output::new(output, self.function.call(kernels, part(&input), part(&output))),
            None => Output::poison(&output),
        };
        Ok((self.work, vec![output]))
    }
}
