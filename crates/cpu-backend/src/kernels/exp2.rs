//! Polynomials for 2^r with |r| ≤ 1/2, the constant term first, fitted here by Remez's exchange.

/// Of degree 3, relative error 8e-5.
pub(super) const EXP2_3: [f32; 4] = [0.999_928_07, 0.693_261, 0.242_611_12, 0.055_171_67];
/// Of degree 4, relative error 3e-6.
pub(super) const EXP2_4: [f32; 5] = [0.999_999_3, 0.693_121_8, 0.240_247_45, 0.055_917_86, 0.009_570_102];
