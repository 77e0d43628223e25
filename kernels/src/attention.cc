// Flash attention of one head: 64 query rows stay on the core, keys and values pass by in blocks of 32. State in f32.
//
// Scores are kept in units of log2: t = score · scale · log2(e), so that exp is a power of two. Per row: m, the largest t
// so far; l, the sum of 2^(t − m) as rounded to bfloat16, the very values that multiply V; o, the sum of those times V.

#include "block_product.h"
#include "exp2.h"

namespace {

constexpr unsigned KEYS = 32;
constexpr unsigned KEY_BLOCKS = KEYS / 8;
/// Below every score; finite, so that differences are never NaN.
constexpr float NEVER = -1.0e30f;
constexpr float LOG2_E = 1.44269504f;

/// Four values, each repeated for the four columns of a 4×4 block.
inline Vector four_rows(const float *values) {
    Vector rows;
    for (unsigned r = 0; r < layout::GROUP; ++r)
        rows.insert(r, aie::broadcast<float, 4>(values[r]));
    return rows;
}

/// 0 1 … 7 twice: the column of each element in two rows of a block.
alignas(64) constexpr float COLUMN[16] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};

/// Scales the scores of a row group in place, masks its keys from `valid` on, and leaves each row's largest in `largest`.
inline void scale_and_mask(float *scores, const Pair &scale, int32 valid, float *largest) {
    Vector top = constant(NEVER), bottom = constant(NEVER);
    for (unsigned block = 0; block < KEY_BLOCKS; ++block) {
        const auto live = aie::lt(aie::load_v<16>(COLUMN), constant(static_cast<float>(valid - 8 * static_cast<int32>(block))));
        for (unsigned half = 0; half < 2; ++half) {
            float *at = scores + block * 32 + half * 16;
            Vector t = multiply(split(aie::load_v<16>(at)), scale).to_vector<float>();
            t = aie::select(constant(NEVER), t, live);
            aie::store_v(at, t);
            (half == 0 ? top : bottom) = aie::max(half == 0 ? top : bottom, t);
        }
    }
    for (unsigned r = 0; r < layout::GROUP; ++r)
        largest[r] = aie::reduce_max((r < 2 ? top : bottom).extract<8>(r % 2));
}

} // namespace

extern "C" {

/// No key seen yet.
void attention_begin(LOCAL(float) o, LOCAL(float) ml) {
    layout::fill_zero<16>(o, layout::ROWS * layout::COLUMNS);
    for (unsigned row = 0; row < layout::ROWS; row += 16) {
        aie::store_v(ml + row, constant(NEVER));
        aie::store_v(ml + layout::ROWS + row, constant(0.0f));
    }
}

/// s = Q·Kᵀ for 32 keys. q: two A objects, [d/8 8][row group][4][8]. k: [key/8 4][d/4 16][8 keys][4 d]; an mmul wants
/// 8 d × 8 keys, so two neighbouring blocks are turned over. s: [row group][key/8 4][4][8] f32.
void attention_scores(LOCAL(const void) q, LOCAL(const void) k, LOCAL(float) s) {
    using Mmul = aie::mmul<4, 8, 8, bfloat16, bfloat16>;
    constexpr unsigned steps = layout::COLUMNS / 8;
    const bfloat16 *queries = static_cast<const bfloat16 *>(q);
    alignas(64) bfloat16 turned[steps * 64];
    for (unsigned block = 0; block < KEY_BLOCKS; ++block) {
        const bfloat16 *keys = static_cast<const bfloat16 *>(k) + block * steps * 64;
        for (unsigned step = 0; step < steps; ++step)
            for (unsigned half = 0; half < 2; ++half)
                aie::store_v(turned + step * 64 + half * 32,
                             aie::transpose(aie::load_v<32>(keys + step * 64 + half * 32), 8, 4));
        for (unsigned group = 0; group < layout::GROUPS; group += 2) {
            Mmul upper, lower;
            for (unsigned step = 0; step < steps; ++step) {
                const auto right = aie::load_v<64>(turned + step * 64);
                const bfloat16 *left = queries + (step * layout::GROUPS + group) * 32;
                upper.mac(aie::load_v<32>(left), right);
                lower.mac(aie::load_v<32>(left + 32), right);
            }
            aie::store_v(s + (group * KEY_BLOCKS + block) * 32, upper.to_vector<float>());
            aie::store_v(s + ((group + 1) * KEY_BLOCKS + block) * 32, lower.to_vector<float>());
        }
    }
}

/// S becomes P = 2^(t − m) in bfloat16, compacted in place to [row group][key/8 4][4][8] from the start of s; m, l and o
/// move on to the new maximum. Keys from `n_valid` on (the block's first is `key0`) weigh nothing.
void attention_softmax(LOCAL(float) s, LOCAL(float) ml, LOCAL(float) o, int32 key0, int32 n_valid, float scale) {
    round_to_even();
    const Pair factor = split(constant(scale * LOG2_E));
    const int32 valid = n_valid - key0;
    float *m = ml, *l = ml + layout::ROWS;
    alignas(64) float largest[layout::ROWS], shrink[layout::ROWS], sums[layout::ROWS * 4];

    for (unsigned group = 0; group < layout::GROUPS; ++group)
        scale_and_mask(s + group * KEY_BLOCKS * 32, factor, valid, largest + group * 4);
    uint32 moved[layout::ROWS / 16];
    for (unsigned row = 0; row < layout::ROWS; row += 16) {
        const Vector before = aie::load_v<16>(m + row), now = aie::max(before, aie::load_v<16>(largest + row));
        aie::store_v(largest + row, now);
        aie::store_v(shrink + row, exp2_of(aie::sub(before, now)));
        moved[row / 16] = aie::lt(before, now).to_uint32();
    }

    const auto ones = aie::broadcast<bfloat16, 32>(bfloat16(1.0f));
    for (unsigned group = 0; group < layout::GROUPS; ++group) {
        const Vector peak[2] = {
            aie::concat(aie::broadcast<float, 8>(largest[group * 4]), aie::broadcast<float, 8>(largest[group * 4 + 1])),
            aie::concat(aie::broadcast<float, 8>(largest[group * 4 + 2]), aie::broadcast<float, 8>(largest[group * 4 + 3]))};
        aie::mmul<4, 8, 4, bfloat16, bfloat16> row_sums;
        for (unsigned block = 0; block < KEY_BLOCKS; ++block) {
            const unsigned index = group * KEY_BLOCKS + block;
            aie::vector<bfloat16, 32> p;
            for (unsigned half = 0; half < 2; ++half) {
                const Vector t = aie::load_v<16>(s + index * 32 + half * 16);
                // A masked key in a row that has seen no other would give 2^0.
                const auto masked = aie::lt(t, constant(0.5f * NEVER));
                const Vector power = aie::select(exp2_of(aie::sub(t, peak[half])), constant(0.0f), masked);
                p.insert(half, accumulator(power).to_vector<bfloat16>());
            }
            // Block `index` of P ends where block `index / 2` of S did, which has been read.
            aie::store_v(s + index * 16, p.cast_to<float>());
            row_sums.mac(p, ones);
        }
        aie::store_v(sums + group * 16, row_sums.to_vector<float>());
        // Most blocks bring no new maximum: then o stays as it is.
        if ((moved[group / 4] >> (group % 4 * 4) & 15u) != 0) {
            const Pair rows = split(four_rows(shrink + group * 4));
            for (unsigned block = 0; block < layout::BLOCKS_F32; ++block) {
                float *at = o + (group * layout::BLOCKS_F32 + block) * 16;
                aie::store_v(at, multiply(split(aie::load_v<16>(at)), rows).to_vector<float>());
            }
        }
    }

    for (unsigned row = 0; row < layout::ROWS; row += 16) {
        // Every column of a 4×4 block of sums holds the sum: take the first.
        const auto first = aie::filter_even(aie::filter_even(aie::load_v<64>(sums + row * 4)));
        const Vector before = aie::load_v<16>(l + row), now = aie::load_v<16>(largest + row);
        const Vector shrunk = multiply(split(before), split(aie::load_v<16>(shrink + row))).to_vector<float>();
        const auto grown = aie::lt(aie::load_v<16>(m + row), now);
        aie::store_v(l + row, aie::add(aie::select(before, shrunk, grown), first));
        aie::store_v(m + row, now);
    }
}

/// o += P·V. v: [key/8 4][d/4 16][8][4].
void attention_values(LOCAL(const float) s, LOCAL(const void) v, LOCAL(float) o) {
    accumulate_tile<bfloat16, KEY_BLOCKS, 2, 4>(reinterpret_cast<const bfloat16 *>(s), 32, KEY_BLOCKS * 32,
                                                static_cast<const bfloat16 *>(v), o);
}

/// o / l → bf16. A row without a valid key is zeros.
void attention_end(LOCAL(const float) o, LOCAL(const float) ml, LOCAL(void) c) {
    round_to_even();
    alignas(64) float inverse[layout::ROWS];
    for (unsigned row = 0; row < layout::ROWS; row += 16) {
        const Vector l = aie::max(aie::load_v<16>(ml + layout::ROWS + row), constant(1.0e-30f));
        // The device's inverse is an approximation: one Newton step, y·(2 − l·y).
        const Vector y = aie::inv(l);
        const Vector error = aie::sub(constant(2.0f), multiply(split(l), split(y)).to_vector<float>());
        aie::store_v(inverse + row, multiply(split(y), split(error)).to_vector<float>());
    }
    for (unsigned group = 0; group < layout::GROUPS; ++group) {
        const Pair rows = split(four_rows(inverse + group * 4));
        for (unsigned block = 0; block < layout::BLOCKS_F32; ++block) {
            const unsigned at = (group * layout::BLOCKS_F32 + block) * 16;
            aie::store_v(static_cast<bfloat16 *>(c) + at, multiply(split(aie::load_v<16>(o + at)), rows).to_vector<bfloat16>());
        }
    }
}

} // extern "C"
