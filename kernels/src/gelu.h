// GELU by the error function, in f32.
//
// gelu(x) = max(x, 0) − h(|x|) with h(u) = u·Φ(−u). Φ(−u) falls by eight powers of ten over the range, its eighth root by
// one: a polynomial r of degree 6 on [0, 5.5] with |r(u)^8 / Φ(−u) − 1| ≤ 2.63e-4 (minimax, Remez in 30 digits) keeps the
// *relative* error small far into the left tail, where a polynomial for Φ itself would have none left.
//
// Error against the exact gelu, relative to h: 2.63e-4 from the polynomial, and from the pairs' products 2.5e-4 near 0,
// 8e-4 at −3, 3.3e-3 at −4.5 and 1.1e-2 at −5.5, where r has cancelled to an eighth of its first coefficient (bounds, by
// running error analysis; the checks compute them). Half a unit of the bfloat16 that follows is 3.9e-3: right of −3 the
// bound is below a third of it, and where it is above all of it |gelu| < 1.5e-5. Left of −5.5 the result stays at
// gelu(−5.5) = −1.04e-7.
#pragma once

#include "pair.h"

inline Vector gelu(const Vector &x) {
    // r, highest power first.
    constexpr float coefficients[] = {1.66711832e-5f, -3.80224501e-4f, 2.75424653e-3f, -2.74717741e-3f,
                                      -3.02056025e-2f, -9.20139107e-2f, 0.917034195f};
    const Vector u = aie::min(aie::abs(x), constant(5.5f));
    const Pair u_pair = split(u);
    F32 r = accumulator(constant(coefficients[0]));
    for (unsigned i = 1; i < 7; ++i)
        r = multiply_add(accumulator(constant(coefficients[i])), split(r), u_pair);
    for (unsigned i = 0; i < 3; ++i) {
        const Pair root = split(r);
        r = multiply(root, root);
    }
    const F32 h = multiply(split(r), u_pair);
    return aie::sub(aie::max(x, constant(0.0f)), h.to_vector<float>());
}
