// 2^t for t ≤ 0, as the softmax needs it: accurate to a fraction of the bfloat16 that follows.
//
// t is cut into an integer n and f in [−½, ½]; 2^n goes straight into the exponent's bits. 2^f by a polynomial of degree 3
// (minimax with a leading coefficient that is a bfloat16): relative error 8.3e-5. The quadratic's value q ≤ 0.27 enters the
// next product as one bfloat16: off by at most 2^-10, times f² / 2^f: 1.9e-4; f without its low half meets only the cubic:
// 1.9e-5. Together 2.9e-4, a thirteenth of the half unit (2^-8) of the result in bfloat16. Below −126 the result is
// 2^-126, not an alias: there is no table whose index could wrap.
#pragma once

#include "pair.h"

inline Vector exp2_of(const Vector &t) {
    // Adding 1.5·2^23 leaves the nearest integer in the low bits of an f32.
    constexpr float shifter = 12582912.0f;
    const Vector clamped = aie::max(t, constant(-126.0f));
    const Vector shifted = aie::add(clamped, constant(shifter));
    const Pair f = split(aie::sub(clamped, aie::sub(shifted, constant(shifter))));

    const auto third = aie::broadcast<bfloat16, 16>(bfloat16(0.0556640625f));
    const F32 quadratic = aie::mac(accumulator(constant(0.2427654821f)), third, f.high);
    const auto second = quadratic.to_vector<bfloat16>();
    const F32 linear = aie::mac(aie::mac(accumulator(constant(0.6932072369f)), second, f.low), second, f.high);
    const F32 power = multiply_add(accumulator(constant(0.9999183256f)), split(linear), f);

    // The integer moves into the exponent: both are bits of an f32.
    const auto exponent = aie::upshift(shifted.cast_to<int32>(), 23);
    return aie::add(power.to_vector<float>().cast_to<int32>(), exponent).cast_to<float>();
}
