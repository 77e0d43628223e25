// The running state of a flash attention's rows, shared by its bfloat16 and its int8 form. All of it in f32.
//
// Scores are exponents of two: t = score · scale, where a scale of exactly 1 costs nothing: the host folds log2(e) / √64
// into the queries' weights. Per row: m, an integer near the largest t so far; l, the sum of the weights 2^(t − m) as they
// were rounded, the very values that multiply V; o, the sum of those times V. The result o / l does not depend on m: it
// only keeps the weights in range, and as an integer it moves o and l by exact powers of two.
// A block of 32 keys: s is [row group 16][key block 4][4 rows][8 keys].
#pragma once

#include "exp2.h"

namespace attention {

inline constexpr unsigned KEYS = 32;
inline constexpr unsigned KEY_BLOCKS = KEYS / 8;
/// m of a row that has seen no key.
inline constexpr float NEVER = -1.0e30f;
/// A masked score: so far below NEVER that even against it the weight is 0.
inline constexpr float MASKED = -3.0e38f;

/// Four values, each repeated for the four columns of a 4×4 block.
inline Vector four_rows(const float *values) {
    Vector rows;
    for (unsigned r = 0; r < layout::GROUP; ++r)
        rows.insert(r, aie::broadcast<float, 4>(values[r]));
    return rows;
}

/// Two values, each repeated for the eight keys of a block's row.
inline Vector two_rows(const float *values) {
    return aie::concat(aie::broadcast<float, 8>(values[0]), aie::broadcast<float, 8>(values[1]));
}

/// 16 values, each repeated four times: a 4×4 block for each of four row groups.
inline void spread(const Vector &rows, Vector (&groups)[4]) {
    const auto [upper, lower] = aie::interleave_zip(rows, rows, 1);
    const auto [first, second] = aie::interleave_zip(upper, upper, 2);
    const auto [third, fourth] = aie::interleave_zip(lower, lower, 2);
    groups[0] = first;
    groups[1] = second;
    groups[2] = third;
    groups[3] = fourth;
}

/// Maxima of neighbouring chunks of a followed by b.
inline Vector fold(const Vector &a, const Vector &b, unsigned chunk) {
    const auto [even, odd] = aie::interleave_unzip(a, b, chunk);
    return aie::max(even, odd);
}

/// The largest score of each row of four groups.
inline Vector largest_of(const float *s) {
    Vector groups[4];
    for (unsigned group = 0; group < 4; ++group) {
        Vector best[2] = {constant(MASKED), constant(MASKED)};
        for (unsigned vector = 0; vector < 2 * KEY_BLOCKS; ++vector)
            best[vector % 2] = aie::max(best[vector % 2], aie::load_v<16>(s + group * KEYS * 4 + vector * 16));
        groups[group] = fold(best[0], best[1], 4);
    }
    return fold(fold(groups[0], groups[1], 2), fold(groups[2], groups[3], 2), 1);
}

/// x · factor for powers of two, exactly: the 24 bits of an f32 are those of three bfloat16.
inline Vector scaled_exactly(const Vector &x, const aie::vector<bfloat16, 16> &factor) {
    const F32 whole(x);
    const auto high = whole.to_vector<bfloat16>();
    const F32 rest = remainder(whole, high);
    const auto middle = rest.to_vector<bfloat16>();
    const auto low = remainder(rest, middle).to_vector<bfloat16>();
    return aie::mac(aie::mac(aie::mul(low, factor), middle, factor), high, factor).to_vector<float>();
}

/// When m follows the largest score, and to where.
struct Growth {
    /// m stays until a score exceeds it by more: weights are below 2^headroom.
    float headroom;
    /// Added to the largest score before it is rounded to the nearest integer.
    float up;
};

/// m follows the block's scores; where it grows, l and o shrink.
inline void advance_maxima(const float *s, float *ml, float *o, const Growth &growth) {
    float *m = ml, *l = ml + layout::ROWS;
    for (unsigned row = 0; row < layout::ROWS; row += 16) {
        const Vector before = aie::load_v<16>(m + row), largest = largest_of(s + row * KEYS);
        const auto grown = aie::lt(aie::add(before, constant(growth.headroom)), largest);
        const uint32 rows = grown.to_uint32();
        if (rows == 0)
            continue;
        const Vector now = aie::select(before, nearest(aie::add(largest, constant(growth.up))), grown);
        aie::store_v(m + row, now);
        // 1 where m has stayed.
        const auto shrink = accumulator(exp2_of(aie::sub(before, now))).to_vector<bfloat16>();
        aie::store_v(l + row, scaled_exactly(aie::load_v<16>(l + row), shrink));
        Vector factors[4];
        spread(F32(shrink).to_vector<float>(), factors);
        for (unsigned group = 0; group < 4; ++group) {
            if ((rows >> (4 * group) & 15u) == 0)
                continue;
            const auto factor = accumulator(factors[group]).to_vector<bfloat16>();
            for (unsigned block = 0; block < layout::BLOCKS_F32; ++block) {
                float *at = o + ((row / 4 + group) * layout::BLOCKS_F32 + block) * 16;
                aie::store_v(at, scaled_exactly(aie::load_v<16>(at), factor));
            }
        }
    }
}

/// s · scale, in place.
inline void scale_scores(float *s, float scale) {
    const Pair factor = split(constant(scale));
    for (unsigned at = 0; at < layout::ROWS * KEYS; at += 16)
        aie::store_v(s + at, multiply(split(aie::load_v<16>(s + at)), factor).to_vector<float>());
}

/// 0 1 … 7 twice: the column of each element in two rows of a block.
alignas(64) inline constexpr float COLUMN[16] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};

/// Masks in key block b the columns from `live(b)` on: scores below every other, whatever the key's memory holds.
template <typename Live>
inline void mask_scores(float *s, Live live) {
    for (unsigned block = 0; block < KEY_BLOCKS; ++block) {
        const auto valid = aie::lt(aie::load_v<16>(COLUMN), constant(static_cast<float>(live(block))));
        for (unsigned group = 0; group < layout::GROUPS; ++group)
            for (unsigned half = 0; half < 2; ++half) {
                float *at = s + (group * KEY_BLOCKS + block) * 32 + half * 16;
                aie::store_v(at, aie::select(constant(MASKED), aie::load_v<16>(at), valid));
            }
    }
}

/// 1 / l of 16 rows. A row without a valid key has o = 0 and any inverse will do.
inline Vector inverse_of(const float *l) {
    const Vector sum = aie::max(aie::load_v<16>(l), constant(1.0e-30f));
    // The device's inverse is an approximation: one Newton step, y·(2 − l·y).
    const Vector y = aie::inv(sum);
    const Vector error = aie::sub(constant(2.0f), multiply(split(sum), split(y)).to_vector<float>());
    return multiply(split(y), split(error)).to_vector<float>();
}

} // namespace attention
