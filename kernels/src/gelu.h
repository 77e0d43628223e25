// GELU by the error function, in f32.
//
// gelu(x) = max(x, 0) − h(|x|) with h(u) = u·Φ(−u), and Φ(−u) = 2^t(u): its logarithm is nearly a parabola, so that a
// polynomial of degree 4 keeps the *relative* error of h small, which left of 0 is all that remains of gelu. The lowest
// powers of u that need it are pairs; the coefficients of the highest are bfloat16 exactly. The polynomial's own error is
// 2.8e-4 of max(h, 2^-8) (minimax with these coefficients).
// Right of 4.85, h stays at h(4.85) = 3.0e-6.
//
// Error against the exact gelu, relative to max(|gelu|, 2^-8): below 1.2e-3 by running error analysis, and below 2^-10 at
// every point of the checks' grid of 1e-4 (both are computed there); half a unit of the bfloat16 that follows is 3.9e-3.
// Not a number stays one, whatever its sign.
#pragma once

#include "exp2.h"

/// 2^t as exp2_of does it, for −126 ≤ t ≤ 0 and eight times as accurate (8.3e-5 by the polynomial, in all below 7e-4): f is
/// a pair, and the linear factor a bfloat16 and a small rest.
inline Vector accurate_exp2_of(const F32 &t) {
    const F32 shifted = aie::add(t, constant(SHIFTER));
    const Pair f = split(aie::sub(t, aie::sub(shifted, constant(SHIFTER))));
    const auto cubic = aie::broadcast<bfloat16, 16>(bfloat16(0.0556640625f));
    const auto most = aie::broadcast<bfloat16, 16>(bfloat16(0.69140625f));
    const auto quadratic = aie::mac(accumulator(constant(0.2427654821f)), cubic, f.high).to_vector<bfloat16>();
    const auto rest = aie::mac(accumulator(constant(0.6932072369f - 0.69140625f)), quadratic, f.high).to_vector<bfloat16>();
    const F32 low = aie::mac(aie::mac(accumulator(constant(0.9999183256f)), most, f.low), rest, f.low);
    const F32 power = aie::mac(aie::mac(low, rest, f.high), most, f.high);
    const auto exponent = aie::upshift(shifted.to_vector<float>().cast_to<int32>(), 23);
    return aie::add(power.to_vector<float>().cast_to<int32>(), exponent).cast_to<float>();
}

inline Vector gelu(const Vector &x) {
    // Floats that are not negative compare as integers.
    const auto largest = aie::broadcast<int32, 16>(0x409B3333); // 4.85
    const Vector magnitude = aie::abs(x);
    const Vector u = aie::min(magnitude.cast_to<int32>(), largest).cast_to<float>();
    const Vector right = aie::max(x.cast_to<int32>(), aie::zeros<int32, 16>()).cast_to<float>();
    // A NaN with a sign would count as left of 0.
    const Vector positive = aie::select(right, magnitude, not_a_number(magnitude));

    const Pair first = split(u);
    const Pair second = split(multiply(first, first));
    const auto c1 = aie::broadcast<bfloat16, 16>(bfloat16(-1.1484375f));
    const auto c1_low = aie::broadcast<bfloat16, 16>(bfloat16(0.0035552978515625f));
    const auto c3 = aie::broadcast<bfloat16, 16>(bfloat16(-0.040283203125f));
    const auto c4 = aie::broadcast<bfloat16, 16>(bfloat16(0.003143310546875f));
    // t = c0 + c1·u + u²·(c2 + c3·u + c4·u²)
    const F32 start = aie::mac(accumulator(constant(-1.000451308299f)), c1_low, first.high);
    const F32 linear = aie::mac(aie::mac(start, c1, first.low), c1, first.high);
    const F32 quartic = aie::mac(aie::mac(accumulator(constant(-0.473897753107f)), c4, second.low), c4, second.high);
    const F32 inner = aie::mac(aie::mac(quartic, c3, first.low), c3, first.high);
    const F32 t = multiply_add(linear, split(inner), second);
    const F32 h = multiply(split(accurate_exp2_of(t)), first);
    return aie::sub(positive, h.to_vector<float>());
}
