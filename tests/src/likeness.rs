//! How alike two arrays are as directions: what matters of an encoder in fewer bits, whose single values are off by more
//! than any f32's.

/// Cosine and relative RMS error of `got` against `want`, and the largest difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// Σ got·want / (|got| |want|); NaN if one of them has a NaN.
    pub cosine: f64,
    /// RMS(got − want) / RMS(want).
    pub relative_rms: f64,
    /// Largest |got − want|.
    pub absolute: f64,
}

impl Likeness {
    /// Of two arrays of one length.
    ///
    /// # Panics
    /// If the lengths differ: nothing was compared.
    #[must_use]
    pub fn of(got: &[f32], want: &[f32]) -> Self {
        assert_eq!(got.len(), want.len(), "two outputs of one layer");
        let (mut dot, mut got2, mut want2, mut error, mut absolute) = (0.0, 0.0, 0.0, 0.0, 0.0f64);
        for (&got, &want) in got.iter().zip(want) {
            let (got, want) = (f64::from(got), f64::from(want));
            dot += got * want;
            got2 += got * got;
            want2 += want * want;
            error += (got - want).powi(2);
            absolute = absolute.max((got - want).abs());
        }
        Self { cosine: dot / (got2 * want2).sqrt(), relative_rms: (error / want2).sqrt(), absolute }
    }
}

impl std::fmt::Display for Likeness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cosine, relative_rms, absolute } = self;
        write!(f, "max |Δ| {absolute:10.3e}  relative RMS {relative_rms:9.3e}  cosine {cosine:.6}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_and_opposite_and_nothing_like() {
        let same = Likeness::of(&[1.0, 2.0], &[1.0, 2.0]);
        assert!((same.cosine - 1.0).abs() < 1e-12 && same.relative_rms == 0.0);
        assert!((Likeness::of(&[-1.0, -2.0], &[1.0, 2.0]).cosine + 1.0).abs() < 1e-12);
        assert!(Likeness::of(&[f32::NAN, 0.0], &[1.0, 2.0]).cosine.is_nan());
    }
}
