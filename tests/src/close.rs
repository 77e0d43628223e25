//! Comparison of numbers within a bound that has a reason; a failure tells the worst index, got, want and bound.

use std::fmt;

/// Unit roundoff of f32, 2⁻²⁴.
pub const ROUNDOFF: f64 = 1.0 / (1 << 24) as f64;

/// How far two computations of the same thing may lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Largest |got − want| of one value.
    pub absolute: f64,
    /// Largest RMS(got − want) / RMS(want) of all values.
    pub relative_rms: f64,
    /// Where the two numbers come from.
    pub reason: &'static str,
}

/// One sub-layer of the encoder's first blocks in f32 against torch's. The longest sum has K = 2048 terms (the MLP's
/// second product), whose rounding grows as u·√K = 2.7e-6 of the result's RMS when errors are independent; √13 of it
/// gathers over six blocks of two products each and the stem: 9.7e-6. Single values reach 22, where that is 2e-4.
pub const ENCODER: Bound =
    Bound { absolute: 3e-4, relative_rms: 1e-5, reason: "u·√2048·√13 of f32, values to 22" };

/// The same from whisper-base's block 3 on, where its MLP makes single values of −60 … −470 out of sums that cancel, so
/// that rounding before them counts for more. How much more was measured on four clips: OpenAI's own encoder in f32
/// (which the goldens are) is up to 1.8e-3 and 1.1e-5 off the same encoder in f64, and two runs of it with different
/// threads are up to 2.0e-3 and 1.1e-5 apart. Two implementations, each so far off: twice that, with a tenth to spare.
pub const ENCODER_DEEP: Bound =
    Bound { absolute: 4e-3, relative_rms: 2.5e-5, reason: "PyTorch's f32 is half of it off its f64" };

/// The bound for a sub-layer by OpenAI's name of it.
#[must_use]
pub fn encoder(name: &str) -> &'static Bound {
    let early = ["encoder.conv", "encoder.blocks.0", "encoder.blocks.1", "encoder.blocks.2"];
    if early.iter().any(|start| name.starts_with(start)) { &ENCODER } else { &ENCODER_DEEP }
}

/// Raw logits against torch's: as the encoder, once more through six decoder blocks of three products.
pub const LOGITS: Bound =
    Bound { absolute: 2e-3, relative_rms: 2e-5, reason: "the encoder's derived bound twice over" };

/// How far two arrays lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Index of the largest |got − want|.
    pub index: usize,
    /// Value there.
    pub got: f32,
    /// Value wanted there.
    pub want: f32,
    /// Largest |got − want|; infinite where one of them is not a number.
    pub absolute: f64,
    /// RMS(got − want) / RMS(want); 0 if both are all zero.
    pub relative_rms: f64,
}

impl Difference {
    /// Of two arrays of one length that is not 0.
    ///
    /// # Errors
    /// A sentence, if the lengths are not so.
    pub fn of(got: &[f32], want: &[f32]) -> Result<Self, String> {
        if got.len() != want.len() || want.is_empty() {
            return Err(format!("got {} values, want {}", got.len(), want.len()));
        }
        let mut worst = Self { index: 0, got: got[0], want: want[0], absolute: -1.0, relative_rms: 0.0 };
        let (mut error, mut size) = (0.0, 0.0);
        for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
            let delta = (f64::from(got) - f64::from(want)).abs();
            let delta = if delta.is_nan() { f64::INFINITY } else { delta };
            if delta > worst.absolute {
                worst = Self { index, got, want, absolute: delta, ..worst };
            }
            error += delta * delta;
            size += f64::from(want).powi(2);
        }
        worst.relative_rms = if error == 0.0 { 0.0 } else { (error / size).sqrt() };
        Ok(worst)
    }

    /// Whether it keeps to `bound`.
    #[must_use]
    pub fn within(&self, bound: &Bound) -> bool {
        self.absolute <= bound.absolute && self.relative_rms <= bound.relative_rms
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "max |Δ| {:.3e} at {} (got {:e}, want {:e}), relative RMS {:.3e}",
            self.absolute, self.index, self.got, self.want, self.relative_rms
        )
    }
}

/// Checks `got` against `want`; the error tells everything needed to look further.
///
/// # Errors
/// A sentence with the worst index, got, want and the bound.
pub fn close(got: &[f32], want: &[f32], bound: &Bound) -> Result<Difference, String> {
    let difference = Difference::of(got, want)?;
    if difference.within(bound) {
        return Ok(difference);
    }
    Err(format!(
        "{difference}; bound: max |Δ| {:e}, relative RMS {:e} ({})",
        bound.absolute, bound.relative_rms, bound.reason
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIGHT: Bound = Bound { absolute: 0.1, relative_rms: 0.1, reason: "test" };

    #[test]
    fn the_worst_value_is_named() {
        let message = close(&[1.0, 2.5, 3.0], &[1.0, 2.0, 3.0], &TIGHT).unwrap_err();
        for part in ["at 1 ", "got 2.5e0", "want 2e0", "5.000e-1", "1e-1", "(test)"] {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
    }

    #[test]
    fn each_half_of_the_bound_can_fail_alone() {
        // RMS: 0.05 everywhere on values of 0.1 is small absolutely and large relatively.
        assert!(close(&[0.15, 0.05], &[0.1, 0.1], &TIGHT).is_err());
        // Absolute: one value of a hundred off by 0.2 is small in the mean.
        let want = vec![10.0; 100];
        let mut got = want.clone();
        got[7] = 10.2;
        assert!(close(&got, &want, &TIGHT).is_err());
        got[7] = 10.05;
        assert_eq!(close(&got, &want, &TIGHT).map(|d| d.index), Ok(7));
    }

    #[test]
    fn not_a_number_is_never_close() {
        for (got, want) in [(f32::NAN, 1.0), (1.0, f32::NAN), (f32::NAN, f32::NAN), (f32::INFINITY, 1.0)] {
            assert!(
                close(&[0.0, got], &[0.0, want], &Bound { absolute: 1e9, ..TIGHT }).is_err(),
                "{got} {want}"
            );
        }
    }

    #[test]
    fn lengths_must_agree_and_nothing_is_compared_with_nothing() {
        assert!(close(&[1.0], &[1.0, 2.0], &TIGHT).is_err());
        assert!(close(&[], &[], &TIGHT).is_err());
    }

    #[test]
    fn the_encoder_bound_is_what_its_reason_says() {
        let derived = ROUNDOFF * 2048f64.sqrt() * 13f64.sqrt();
        assert!(derived <= ENCODER.relative_rms && ENCODER.relative_rms < 1.1 * derived, "{derived:e}");
        assert_eq!(LOGITS.relative_rms, 2.0 * ENCODER.relative_rms);
        assert_eq!(encoder("encoder.blocks.2.mlp"), &ENCODER);
        assert_eq!(encoder("encoder.blocks.3"), &ENCODER_DEEP);
    }
}
