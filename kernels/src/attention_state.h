// The running state of a flash attention's rows, shared by its bfloat16 and its int8 form. All of it in f32.
//
// Scores are kept in units of log2: t = score · scale · log2(e), so that exp is a power of two. Per row: m, the largest t
// so far; l, the sum of the weights as they were rounded, the very values that multiply V; o, the sum of those times V.
// A block of 32 keys: s is [row group 16][key block 4][4 rows][8 keys].
#pragma once

#include "exp2.h"

namespace attention {

inline constexpr unsigned KEYS = 32;
inline constexpr unsigned KEY_BLOCKS = KEYS / 8;
/// Below every score; finite, so that differences are never NaN.
inline constexpr float NEVER = -1.0e30f;
inline constexpr float LOG2_E = 1.44269504f;

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

/// 0 1 … 7 twice: the column of each element in two rows of a block.
alignas(64) inline constexpr float COLUMN[16] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};

/// Local to one block of keys.
struct Maxima {
    alignas(64) float largest[layout::ROWS];
    /// 2^(old m − new m)
    alignas(64) float shrink[layout::ROWS];
    /// Bit per row: m has grown.
    uint32 grown[layout::ROWS / 16];
};

/// Scales the scores in place, masks in key block b the columns from `live(b)` on, finds each row's maximum, and shrinks
/// the rows of o whose maximum has grown (most blocks bring none).
template <typename Live>
inline void advance_maxima(float *s, const float *m, float *o, const Pair &scale, Live live, Maxima &maxima) {
    for (unsigned group = 0; group < layout::GROUPS; ++group) {
        Vector best[2] = {constant(NEVER), constant(NEVER)};
        for (unsigned block = 0; block < KEY_BLOCKS; ++block) {
            const auto valid = aie::lt(aie::load_v<16>(COLUMN), constant(static_cast<float>(live(block))));
            for (unsigned half = 0; half < 2; ++half) {
                float *at = s + (group * KEY_BLOCKS + block) * 32 + half * 16;
                const Vector scaled = multiply(split(aie::load_v<16>(at)), scale).to_vector<float>();
                const Vector t = aie::select(constant(NEVER), scaled, valid);
                aie::store_v(at, t);
                best[half] = aie::max(best[half], t);
            }
        }
        for (unsigned r = 0; r < layout::GROUP; ++r)
            maxima.largest[group * 4 + r] = aie::reduce_max(best[r / 2].extract<8>(r % 2));
    }
    for (unsigned row = 0; row < layout::ROWS; row += 16) {
        const Vector before = aie::load_v<16>(m + row);
        const Vector now = aie::max(before, aie::load_v<16>(maxima.largest + row));
        aie::store_v(maxima.largest + row, now);
        aie::store_v(maxima.shrink + row, exp2_of(aie::sub(before, now)));
        maxima.grown[row / 16] = aie::lt(before, now).to_uint32();
    }
    for (unsigned group = 0; group < layout::GROUPS; ++group) {
        if ((maxima.grown[group / 4] >> (group % 4 * 4) & 15u) == 0)
            continue;
        const Pair rows = split(four_rows(maxima.shrink + group * 4));
        for (unsigned block = 0; block < layout::BLOCKS_F32; ++block) {
            float *at = o + (group * layout::BLOCKS_F32 + block) * 16;
            aie::store_v(at, multiply(split(aie::load_v<16>(at)), rows).to_vector<float>());
        }
    }
}

/// 2^(t − m), and 0 for a masked key: in a row that has seen no other key, t − m is 0 too.
inline Vector weight(const Vector &t, const Vector &m) {
    const auto masked = aie::lt(t, constant(0.5f * NEVER));
    return aie::select(exp2_of(aie::sub(t, m)), constant(0.0f), masked);
}

/// l and m after the block; `sums` holds each row's new weights.
inline void advance_sums(float *ml, const Maxima &maxima, const float *sums) {
    float *m = ml, *l = ml + layout::ROWS;
    for (unsigned row = 0; row < layout::ROWS; row += 16) {
        const Vector before = aie::load_v<16>(l + row), now = aie::load_v<16>(maxima.largest + row);
        const Vector shrunk = multiply(split(before), split(aie::load_v<16>(maxima.shrink + row))).to_vector<float>();
        const auto grown = aie::lt(aie::load_v<16>(m + row), now);
        aie::store_v(l + row, aie::add(aie::select(before, shrunk, grown), aie::load_v<16>(sums + row)));
        aie::store_v(m + row, now);
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
