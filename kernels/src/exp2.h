// 2^t for t < 127, as the softmax needs it: a bfloat16 follows.
//
// t is cut into an integer n and f in [−½, ½]; 2^n goes straight into the exponent's bits. 2^f ≈ 1 + f·(c1 + f·(c2 + f·c3))
// by Horner's rule on what the core multiplies, bfloat16: f and each factor are rounded to one. Relative errors: the
// polynomial 1.04e-4 (minimax with 1 and the bfloat16 c3 given); f, off by ≤ 2^-10, ln 2 · 2^-10 = 6.8e-4; the quadratic's
// factor (≤ 0.27, off by ≤ 2^-10) f²·2^-10 / 2^f ≤ 3.5e-4; the linear one's (in [½, 1], off by ≤ 2^-9)
// |f|·2^-9 / 2^f ≤ 1.39e-3. Together below 2.6e-3, two thirds of the half unit (2^-8) of the result in bfloat16.
//
// An integer t makes an exact power of two, as the polynomial is 1 at 0. From −127 down the result is 0: the exponent's
// bits become 0, and there is no table whose index could wrap. Between −127 and −126 it may be a subnormal or 0. Not a
// number, of either sign, stays one: it must not become a weight of 0.
#pragma once

#include "pair.h"

/// Adding it leaves the nearest integer in the low bits of an f32.
inline constexpr float SHIFTER = 12582912.0f; // 1.5·2^23

/// The nearest integer, as f32; beyond 2^22 one of the next.
inline Vector nearest(const Vector &x) { return aie::sub(aie::add(x, constant(SHIFTER)), constant(SHIFTER)); }

inline Vector exp2_of(const Vector &t) {
    // Of the bits as unsigned integers, which a core compares by itself, those of a negative number grow as it falls.
    const auto least = aie::broadcast<uint32, 16>(0xC2FE0000u); // −127
    const Vector clamped = aie::min(t.cast_to<uint32>(), least).cast_to<float>();
    const Vector shifted = aie::add(clamped, constant(SHIFTER));
    const Vector fraction = aie::sub(clamped, aie::sub(shifted, constant(SHIFTER)));
    const auto f = accumulator(fraction).to_vector<bfloat16>();

    const auto cubic = aie::broadcast<bfloat16, 16>(bfloat16(0.054931640625f));
    const auto quadratic = aie::mac(accumulator(constant(0.242222657f)), cubic, f).to_vector<bfloat16>();
    const auto linear = aie::mac(accumulator(constant(0.693292602f)), quadratic, f).to_vector<bfloat16>();
    const F32 power = aie::mac(accumulator(constant(1.0f)), linear, f);

    // The integer moves into the exponent: both are bits of an f32.
    const auto exponent = aie::upshift(shifted.cast_to<int32>(), 23);
    const Vector whole = aie::add(power.to_vector<float>().cast_to<int32>(), exponent).cast_to<float>();
    return aie::select(whole, t, not_a_number(aie::abs(t)));
}
