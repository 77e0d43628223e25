// f32 products on a core that multiplies only bfloat16: a number as the sum of two bfloat16, high and low.
//
// Rounding to nearest, |x − high| ≤ 2^-8·|x| and |x − high − low| ≤ 2^-17·|x|; a product leaves out low·low. So
// |product − a·b| ≤ 2^-15·|a·b| plus the additions' rounding. Needs the rounding mode conv_even.
#pragma once

#include "layout.h"

using F32 = aie::accum<accfloat, 16>;
using Vector = aie::vector<float, 16>;

struct Pair {
    aie::vector<bfloat16, 16> high;
    aie::vector<bfloat16, 16> low;
};

inline F32 accumulator(const Vector &x) { return F32(x); }

/// x − high, exactly, in one operation of the vector unit.
inline F32 remainder(const F32 &x, const aie::vector<bfloat16, 16> &high) {
    return aie::msc(x, high, aie::broadcast<bfloat16, 16>(bfloat16(1.0f)));
}

inline Pair split(const F32 &x) {
    Pair pair;
    pair.high = x.to_vector<bfloat16>();
    pair.low = remainder(x, pair.high).to_vector<bfloat16>();
    return pair;
}

inline Pair split(const Vector &x) { return split(F32(x)); }

/// sum + a·b
inline F32 multiply_add(const F32 &sum, const Pair &a, const Pair &b) {
    return aie::mac(aie::mac(aie::mac(sum, a.low, b.high), a.high, b.low), a.high, b.high);
}

inline F32 multiply(const Pair &a, const Pair &b) {
    return aie::mac(aie::mac(aie::mul(a.low, b.high), a.high, b.low), a.high, b.high);
}

inline Vector constant(float value) { return aie::broadcast<float, 16>(value); }

/// Where |x| is not a number: floats without a sign are ordered as their bits are, and a core compares integers by itself.
inline aie::mask<16> not_a_number(const Vector &magnitude) {
    return aie::lt(aie::broadcast<int32, 16>(0x7F800000), magnitude.cast_to<int32>());
}

inline void round_to_even() { aie::set_rounding(aie::rounding_mode::conv_even); }
