//! The kernels' own C++, opened: the one file of the emulator that leaves Rust's rules.
//!
//! Every function is called through a safe method whose arguments are whole [`L1`] buffers, so their lengths and their
//! alignment are checked by type; numbers that the C++ indexes or shifts by have types of their own. What remains on trust is that the C++ keeps to the signatures below; it is compiled
//! from the sources that this very binary carries, and says so by its ABI version.
#![allow(unsafe_code, reason = "calls into a shared library")]

use std::fmt;
use std::path::Path;

use libloading::Library;

use super::l1::{ACC_BYTES, C_BYTES, L1, ML_BYTES, OBJECT_BYTES, Object, PARAMETER_BYTES, SCORES_BYTES};

/// The version of these signatures that the C++ must answer.
const ABI: i32 = 2;

type Acc = L1<ACC_BYTES>;
type C = L1<C_BYTES>;
type Ml = L1<ML_BYTES>;
type Parameters = L1<PARAMETER_BYTES>;
type Scores = L1<SCORES_BYTES>;

/// Half of an object, or of a block of keys: what the C++ gets as 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Half {
    First = 0,
    Second = 1,
}

impl Half {
    pub(crate) const BOTH: [Self; 2] = [Self::First, Self::Second];

    /// The one after it.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Bits to shift an int32 by, of which it has 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Shift(i32);

impl Shift {
    /// `None` for what C++ does not define.
    pub(crate) fn new(bits: i32) -> Option<Self> {
        (0..32).contains(&bits).then_some(Self(bits))
    }
}

/// Declares the table of functions, its loading and a safe method for each.
macro_rules! kernels {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),*);)*) => {
        /// The functions of a compiled library, which stays open as long as this lives.
        pub(crate) struct Kernels {
            $($name: unsafe extern "C" fn($($kind),*),)*
            _library: Library,
        }

        /// Names of all of them.
        #[cfg(test)]
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        impl Kernels {
            /// Reads the table of `library`.
            fn table(library: Library) -> Result<Self, String> {
                $(
                    // SAFETY: the type is the signature that the C++ declares for this name under `ABI`.
                    let $name = *unsafe { library.get(concat!(stringify!($name), "\0")) }
                        .map_err(|error| format!("it has no function `{}`: {error}", stringify!($name)))?;
                )*
                Ok(Self { $($name,)* _library: library })
            }

            $(
                $(#[$doc])*
                #[allow(clippy::too_many_arguments, reason = "as many as the C++ function has")]
                pub(crate) fn $name(&self, $($argument: $kind),*) {
                    // SAFETY: the library is open, for it is a field. Each buffer is a whole aligned object of the
                    // length that the C++ declares, alive during the call, and only written if it is exclusive here.
                    unsafe { (self.$name)($($argument),*) }
                }
            )*
        }
    };
}

kernels! {
    /// Clears the accumulators.
    fn zero_acc(acc: &mut Acc);
    /// 64 × 64 × 64 products of bf16, added to f32: two objects of each side.
    fn gemm_bf16_step2(a0: &Object, a1: &Object, b0: &Object, b1: &Object, acc: &mut Acc);
    /// 64 × 128 × 64 products of int8, added to int32: two objects of each side.
    fn gemm_i8_step2(a0: &Object, a1: &Object, b0: &Object, b1: &Object, acc: &mut Acc);
    /// Bias, GELU if the parameters ask for it, rounding to bf16.
    fn finish_bf16(acc: &Acc, parameters: &Parameters, c: &mut C);
    /// As [`Self::finish_bf16`] with a residual of 64 × 64 bf16 in two A objects, added before rounding.
    fn finish_bf16_residual(acc: &Acc, parameters: &Parameters, left: &Object, right: &Object, c: &mut C);
    /// Row and column scales and bias, rounding to bf16.
    fn finish_i8_bf16(acc: &Acc, parameters: &Parameters, row_scales: &Object, c: &mut C);
    /// One half (0 or 1) of the columns as int32.
    fn finish_i8_i32(acc: &Acc, half: Half, c: &mut C);
    /// Requantised to int8, into one half (0 or 1) of the object.
    fn finish_i8_i8(acc: &Acc, parameters: &Parameters, half: Half, c: &mut C);
    /// Clears the state of 64 rows of attention.
    fn attention_begin(o: &mut Acc, ml: &mut Ml);
    /// Scores of 64 rows of Q against 32 keys, bf16.
    fn attention_scores(q: &C, k: &Object, s: &mut Scores);
    /// Online softmax of 32 keys from `key0`; the scores become probabilities in bf16, in place.
    fn attention_softmax(s: &mut Scores, ml: &mut Ml, o: &mut Acc, key0: i32, n_valid: i32, scale: f32);
    /// Adds the probabilities' share of 32 values.
    fn attention_values(s: &Scores, v: &Object, o: &mut Acc);
    /// Divides by the sums, rounding to bf16.
    fn attention_end(o: &Acc, ml: &Ml, c: &mut C);
    /// Scores of 64 rows of int8 Q against one half (0 or 1) of 64 keys.
    fn attention_i8_scores(q: &Object, q_scales: &Object, k: &Object, k_scales: &Object, half: Half, s: &mut Scores);
    /// Online softmax of one half of the 64 keys from `key0`; the probabilities become int8, in place.
    fn attention_i8_softmax(s: &mut Scores, ml: &mut Ml, o: &mut Acc, key0: i32, half: Half, n_valid: i32, scale: f32);
    /// Adds the probabilities' share of one half of 64 values.
    fn attention_i8_values(s: &Scores, v: &Object, half: Half, o: &mut Acc);
    /// Divides by the sums, scales the columns, rounding to bf16.
    fn attention_i8_end(o: &Acc, ml: &Ml, parameters: &Parameters, c: &mut C);
    /// The seed's product of two 16 × 16 matrices of int8, requantised.
    fn matmul_16x16_i8(a_then_b: &L1<512>, c: &mut L1<256>);
    /// The same, int32 out.
    fn matmul_16x16_i32(a_then_b: &L1<512>, c: &mut L1<1024>);
    /// The same, added to what is there.
    fn matmul_16x16_acc_i32(a_then_b: &L1<512>, c: &mut L1<1024>);
    /// The seed's attention over 64 keys of 64 int8.
    fn attention_64x64_i8(q_k_v: &L1<12288>, out: &mut L1<4096>, shift: Shift);
}

impl Kernels {
    /// Opens the library at `path`, which must have been compiled for exact or for fast arithmetic as asked.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn open(path: &Path, exact: bool) -> Result<Self, String> {
        // SAFETY: the file lies in a folder that only this user writes to, under a name made of the sources' hash; it
        // has no constructors but the standard library's.
        let library = unsafe { Library::new(path) }.map_err(|error| error.to_string())?;
        let (abi, built_exact) = (answer(&library, "aie_host_abi")?, answer(&library, "aie_host_exact")?);
        if abi != ABI || built_exact != i32::from(exact) {
            return Err(format!(
                "it has ABI {abi} and exactness {built_exact}; wanted {ABI} and {}",
                i32::from(exact)
            ));
        }
        Self::table(library)
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kernels")
    }
}

/// What the argumentless function `name` returns.
fn answer(library: &Library, name: &str) -> Result<i32, String> {
    // SAFETY: both functions of this kind are declared `int32_t name(void)` in every ABI version.
    let function = unsafe { library.get::<unsafe extern "C" fn() -> i32>(name) }
        .map_err(|error| format!("it has no function `{name}`: {error}"))?;
    // SAFETY: as above; it has no precondition.
    Ok(unsafe { function() })
}

/// A compiled kernel is what a core's memory is handed to; its size is part of the signatures above.
const _: () = assert!(OBJECT_BYTES == 4096 && C_BYTES == 8192);
