// The bfloat16 multiply-accumulate of one lane, as the device does it and as f32.
//
// Measured on Phoenix (jdominick05/ignite-xdna:docs/SILICON.md, 1.2, one source): an instruction aligns the accumulator
// and its eight products to the largest exponent of the nine, rounds each by itself to a 24-bit grid at that exponent
// (ties to even), adds them exactly and renormalises ties to even. Products are exact. Not known: infinities, NaN,
// subnormals, and whether a product's exponent counts before or after its normalisation (here: after).
#pragma once

#include "accum.hpp"

#ifndef AIE_HOST_EXACT
#define AIE_HOST_EXACT 1
#endif

namespace aie::detail {

/// The power of two at or below |x|, in each lane; 0 for 0.
template <unsigned N>
inline lanes<double, N> exponent_of(const lanes<double, N> &x) {
    return bits_as<lanes<double, N>>(bits_as<lanes<uint64_t, N>>(x) & 0x7ff0000000000000ull);
}

/// One instruction: `sum` and `count` products, each already exact in f64 (two bfloat16 make at most 16 bits).
///
/// Adding and taking away 1.5·2^29 times the largest power of two leaves a f64 only the bits down to 2^-23 of that power:
/// f64 addition itself rounds to the grid, ties to even. The sum of nine such values needs 28 bits: exact.
template <unsigned Count, unsigned N>
inline lanes<double, N> align_and_add(const lanes<double, N> &sum, const lanes<double, N> (&products)[Count]) {
    lanes<double, N> largest = exponent_of<N>(sum);
    for (unsigned i = 0; i < Count; ++i) {
        const auto exponent = exponent_of<N>(products[i]);
        largest = choose<double, N>(exponent > largest, exponent, largest);
    }
    const lanes<double, N> anchor = largest * (1.5 * 536870912.0);
    lanes<double, N> total = (sum + anchor) - anchor;
    for (unsigned i = 0; i < Count; ++i)
        total += (products[i] + anchor) - anchor;
    return total;
}

/// accumulator + a·b per lane; the elementwise form, an instruction with one product in use.
template <unsigned N>
inline lanes<float, N> multiply_accumulate(const lanes<float, N> &sum, const lanes<float, N> &a, const lanes<float, N> &b) {
#if AIE_HOST_EXACT
    const lanes<double, N> products[1] = {convert<double, N>(a) * convert<double, N>(b)};
    return convert<float, N>(align_and_add<1, N>(convert<double, N>(sum), products));
#else
    return sum + a * b;
#endif
}

} // namespace aie::detail
