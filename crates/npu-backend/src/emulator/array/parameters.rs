//! The parameter object at the head of every output tile: what a core is to do next.
//!
//! Little-endian words: magic · operation · flags · steps · n_valid · scale (f32 bits) · slots. The bias (byte 256) and
//! the column scales (byte 512) are for the kernels alone.

use super::l1::OBJECT_BYTES;

/// Bytes that the worker itself reads.
pub(crate) const HEADER_BYTES: usize = 28;

/// The steps of a product are a multiple of it: the objects of A come by four, as a memtile holds them.
pub(crate) const STEP_GRANULE: u32 = 4;

const MAGIC: u32 = 0x584E_5057;

/// What a core can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    /// bf16 × bf16, f32 sums, bf16 out.
    GemmBf16,
    /// int8 × int8, the int32 sums out.
    GemmI8I32,
    /// int8 × int8, row and column scales, bf16 out.
    GemmI8Bf16,
    /// int8 × int8, requantised to int8.
    GemmI8I8,
    /// Attention of one head in bf16.
    AttentionBf16,
    /// Attention of one head in int8.
    AttentionI8,
}

impl Operation {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::GemmBf16,
        Self::GemmI8I32,
        Self::GemmI8Bf16,
        Self::GemmI8I8,
        Self::AttentionBf16,
        Self::AttentionI8,
    ];

    /// Its number in the parameter object and in the manifest.
    pub(crate) fn number(self) -> u32 {
        self as u32 + 1
    }

    /// Whether it is one of the two attentions.
    pub(crate) fn is_attention(self) -> bool {
        matches!(self, Self::AttentionBf16 | Self::AttentionI8)
    }
}

/// Bits of the flags.
const GELU: u32 = 1;
const RESIDUAL: u32 = 2;
const IDLE: u32 = 4;

/// The head of a parameter object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Parameters {
    pub(crate) operation: Operation,
    /// Apply GELU.
    pub(crate) gelu: bool,
    /// Add a residual that follows on the A stream.
    pub(crate) residual: bool,
    /// Take everything as usual, and write zeros.
    pub(crate) idle: bool,
    /// K steps of a GEMM, or key blocks of attention.
    pub(crate) steps: usize,
    /// Keys that count.
    pub(crate) n_valid: u32,
    /// Factor from scores to exponents of two.
    pub(crate) scale: f32,
}

impl Parameters {
    /// Reads the first [`HEADER_BYTES`] of an object, for an array of `columns`.
    ///
    /// # Errors
    /// What no core could follow.
    pub(crate) fn decode(header: &[u8; HEADER_BYTES], columns: u32) -> Result<Self, String> {
        let word = |index: usize| {
            let bytes = header[4 * index..].first_chunk().copied().unwrap_or_default();
            u32::from_le_bytes(bytes)
        };
        if word(0) != MAGIC {
            return Err(format!("its magic is {:#010x}, not {MAGIC:#010x}", word(0)));
        }
        let (number, flags, steps) = (word(1), word(2), word(3));
        let Some(operation) = Operation::ALL.into_iter().find(|operation| operation.number() == number)
        else {
            return Err(format!("there is no operation {number}"));
        };
        let parameters = Self {
            operation,
            gelu: flags & GELU != 0,
            residual: flags & RESIDUAL != 0,
            idle: flags & IDLE != 0,
            steps: steps as usize,
            n_valid: word(4),
            scale: f32::from_bits(word(5)),
        };
        let attention = operation.is_attention();
        if flags & !(GELU | RESIDUAL | IDLE) != 0 {
            return Err(format!("flags {flags:#x} are not known"));
        }
        if parameters.residual && operation != Operation::GemmBf16 {
            return Err(format!("{operation:?} has no residual"));
        }
        if parameters.gelu && (attention || operation == Operation::GemmI8I32) {
            return Err(format!("{operation:?} has no GELU"));
        }
        if steps == 0 || i32::try_from(u64::from(steps) * 64).is_err() {
            return Err(format!("{steps} steps"));
        }
        if !attention && !steps.is_multiple_of(STEP_GRANULE) {
            return Err(format!("{steps} steps are not a multiple of {STEP_GRANULE}"));
        }
        let keys_make_sense = parameters.n_valid > 0 && i32::try_from(parameters.n_valid).is_ok();
        if attention && !parameters.idle && !(keys_make_sense && parameters.scale.is_finite()) {
            return Err(format!("{} valid keys, scale {}", parameters.n_valid, parameters.scale));
        }
        // Where the slots on the A stream are not used, their number may be left out.
        if word(6) != columns && (attention || word(6) != 0) {
            return Err(format!("it is for {} columns, the array has {columns}", word(6)));
        }
        Ok(parameters)
    }
}

const _: () = assert!(HEADER_BYTES <= OBJECT_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    fn header(words: [u32; 7]) -> [u8; HEADER_BYTES] {
        std::array::from_fn(|at| words[at / 4].to_le_bytes()[at % 4])
    }

    const GOOD: [u32; 7] = [MAGIC, 1, GELU | RESIDUAL, 16, 0, 0, 4];

    #[test]
    fn parameters_are_read() {
        let attention = [MAGIC, 5, 0, 48, 1500, 0.125_f32.to_bits(), 8];
        let got = Parameters::decode(&header(attention), 8);
        assert_eq!(
            got,
            Ok(Parameters {
                operation: Operation::AttentionBf16,
                gelu: false,
                residual: false,
                idle: false,
                steps: 48,
                n_valid: 1500,
                scale: 0.125,
            })
        );
        assert!(Parameters::decode(&header(GOOD), 4).is_ok_and(|got| got.gelu && got.residual && !got.idle));
    }

    #[test]
    fn what_no_core_could_follow_is_refused_with_the_reason() {
        for (at, value, reason) in [
            (0, 0xA5A5_A5A5, "magic"),
            (1, 0, "operation 0"),
            (1, 7, "operation 7"),
            (2, 8, "flags 0x8"),
            (1, 3, "GemmI8Bf16 has no residual"),
            (3, 0, "0 steps"),
            (3, 6, "6 steps are not a multiple of 4"),
            (3, u32::MAX, "steps"),
            (6, 8, "8 columns"),
        ] {
            let mut words = GOOD;
            words[at] = value;
            let error = Parameters::decode(&header(words), 4).expect_err(reason);
            assert!(error.contains(reason), "`{error}` lacks `{reason}`");
        }
        let no_keys = [MAGIC, 5, 0, 1, 0, 0, 4];
        assert!(Parameters::decode(&header(no_keys), 4).is_err());
        assert!(Parameters::decode(&header([MAGIC, 5, IDLE, 1, 0, 0, 4]), 4).is_ok());
    }
}
