// Flash attention of one head in bfloat16: 64 query rows stay on the core, keys and values pass by in blocks of 32.

#include "attention_state.h"
#include "block_product.h"

using namespace attention;

extern "C" {

/// No key seen yet. ml: m[64], then l[64].
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
        for (unsigned piece = 0; piece < 2 * steps; ++piece)
            aie::store_v(turned + piece * 32, aie::transpose(aie::load_v<32>(keys + piece * 32), 8, 4));
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
/// move on. Keys from `n_valid` on (the block's first is `key0`) weigh nothing.
void attention_softmax(LOCAL(float) s, LOCAL(float) ml, LOCAL(float) o, int32 key0, int32 n_valid, float scale) {
    round_to_even();
    if (scale != 1.0f)
        scale_scores(s, scale);
    if (key0 + static_cast<int32>(KEYS) > n_valid)
        mask_scores(s, [=](unsigned block) { return n_valid - key0 - 8 * static_cast<int32>(block); });
    // A bfloat16 is as accurate at 2^32 as at 1, and so is every sum: m need not follow each maximum.
    advance_maxima(s, ml, o, Growth{32.0f, 0.0f});

    float *l = ml + layout::ROWS;
    const auto ones = aie::broadcast<bfloat16, 32>(bfloat16(1.0f));
    for (unsigned row = 0; row < layout::ROWS; row += 16) {
        Vector maxima[4], sums;
        spread(aie::load_v<16>(ml + row), maxima);
        for (unsigned group = 0; group < 4; ++group) {
            const auto [upper, lower] = aie::interleave_zip(maxima[group], maxima[group], 4);
            aie::mmul<4, 8, 4, bfloat16, bfloat16> row_sums;
            for (unsigned block = 0; block < KEY_BLOCKS; ++block) {
                const unsigned index = (row / 4 + group) * KEY_BLOCKS + block;
                const Vector top = exp2_of(aie::sub(aie::load_v<16>(s + index * 32), upper));
                const Vector bottom = exp2_of(aie::sub(aie::load_v<16>(s + index * 32 + 16), lower));
                const auto p = aie::concat(accumulator(top).to_vector<bfloat16>(), accumulator(bottom).to_vector<bfloat16>());
                // Block `index` of P ends where block `index / 2` of S did, which has been read.
                aie::store_v(s + index * 16, p.cast_to<float>());
                row_sums.mac(p, ones);
            }
            // Every column of the 4×4 block holds the row's sum: take the first.
            sums.insert(group, aie::filter_even(aie::filter_even(row_sums.to_vector<float>())));
        }
        aie::store_v(l + row, aie::add(aie::load_v<16>(l + row), sums));
    }
}

/// o += P·V. v: [key/8 4][d/4 16][8][4].
void attention_values(LOCAL(const float) s, LOCAL(const void) v, LOCAL(float) o) {
    accumulate_tile<bfloat16, KEY_BLOCKS, 2, 4>({reinterpret_cast<const bfloat16 *>(s)}, 32, KEY_BLOCKS * 32,
                                                {static_cast<const bfloat16 *>(v)}, o);
}

/// o / l → bf16. A row without a valid key is zeros.
void attention_end(LOCAL(const float) o, LOCAL(const float) ml, LOCAL(void) c) {
    round_to_even();
    alignas(64) float inverse[layout::ROWS];
    for (unsigned row = 0; row < layout::ROWS; row += 16)
        aie::store_v(inverse + row, inverse_of(ml + layout::ROWS + row));
    for (unsigned group = 0; group < layout::GROUPS; ++group) {
        const Pair rows = split(four_rows(inverse + group * 4));
        for (unsigned block = 0; block < layout::BLOCKS_F32; ++block) {
            const unsigned at = (group * layout::BLOCKS_F32 + block) * 16;
            aie::store_v(static_cast<bfloat16 *>(c) + at, multiply(split(aie::load_v<16>(o + at)), rows).to_vector<bfloat16>());
        }
    }
}

} // extern "C"
