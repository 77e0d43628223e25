// Flash attention of one head in int8, in halves of a block of 64 keys. Products exact in int32, state in f32.
//
// K and V objects are 64 keys × 64 bytes, read by the memtile's reorder for B as 32 rows × 128 bytes: block (kr, nc) of
// [kr 4][nc 16][8 rows][8 bytes] holds in row r the key 16·kr + 2·r + nc/8, its bytes 8·(nc % 8) …. So a block has the
// keys of one parity, and half h of the keys is kr = 2·h, 2·h + 1: key blocks (kr % 2, parity) in this order.

#include "attention_state.h"

using namespace attention;

namespace {

constexpr unsigned BLOCK = 64;

/// Block (kr, nc) of a K or V object.
inline const int8 *block_of(const void *object, unsigned kr, unsigned nc) {
    return static_cast<const int8 *>(object) + (kr * 16 + nc) * BLOCK;
}

/// The scales of the eight keys 16·kr + parity + 2·c, twice.
inline Vector key_scales(const void *object, unsigned kr, unsigned parity) {
    const Vector scales = aie::load_v<16>(static_cast<const float *>(object) + 16 * kr);
    return (parity == 0 ? aie::filter_even(scales) : aie::filter_odd(scales)).grow_replicate<16>();
}

/// 2^t · 256 rounded to 0 … 255.
inline aie::vector<uint8, 32> quantised(const Vector &top, const Vector &bottom) {
    const auto integers = [](const Vector &t) {
        // The shifter's own bits taken away, the integer remains.
        const auto bits = aie::add(exp2_of(aie::add(t, constant(8.0f))), constant(SHIFTER)).cast_to<int32>();
        return aie::sub(bits, constant(SHIFTER).cast_to<int32>());
    };
    return aie::accum<acc32, 32>(aie::concat(integers(top), integers(bottom))).to_vector<uint8>();
}

} // namespace

extern "C" {

/// s = (Q·Kᵀ) · q scale · k scale for half of the 64 keys. q: one A object, [d/16 4][row group][4][16]; q_scales: f32 in the
/// first word of each row of an A object; k_scales: f32[64] in the natural order of the keys.
void attention_i8_scores(LOCAL(const void) q, LOCAL(const void) q_scales, LOCAL(const void) k, LOCAL(const void) k_scales,
                         int32 half, LOCAL(float) s) {
    round_to_even();
    constexpr unsigned steps = layout::COLUMNS / 16;
    for (unsigned block = 0; block < KEY_BLOCKS; ++block) {
        const unsigned kr = 2 * half + block / 2, parity = block % 2;
        // An mmul wants 16 d × 8 keys: two neighbouring blocks of 8 keys × 8 d, turned over.
        aie::vector<int8, 128> right[steps];
        for (unsigned step = 0; step < steps; ++step) {
            const int8 *keys = block_of(k, kr, parity * 8 + 2 * step);
            right[step] = aie::concat(aie::transpose(aie::load_v<64>(keys), 8, 8),
                                      aie::transpose(aie::load_v<64>(keys + BLOCK), 8, 8));
        }
        const Pair columns = split(key_scales(k_scales, kr, parity));
        for (unsigned group = 0; group < layout::GROUPS; ++group) {
            aie::mmul<4, 16, 8, int8, int8> dot;
            for (unsigned step = 0; step < steps; ++step)
                dot.mac(aie::load_v<64>(static_cast<const int8 *>(q) + (step * layout::GROUPS + group) * 64), right[step]);
            const auto sums = aie::to_float<float>(dot.to_vector<int32>());
            for (unsigned pair = 0; pair < 2; ++pair) {
                const unsigned row = group * 4 + 2 * pair;
                const float scales[2] = {layout::row_scale(q_scales, row), layout::row_scale(q_scales, row + 1)};
                const F32 by_row = multiply(split(sums.extract<16>(pair)), split(two_rows(scales)));
                aie::store_v(s + (group * KEY_BLOCKS + block) * 32 + pair * 16,
                             multiply(split(by_row), columns).to_vector<float>());
            }
        }
    }
}

/// S becomes P = round(256 · 2^(t − m)) in uint8, compacted in place to [row group][key block 4][4][8] from the start of s.
/// `key0` is the first of the 64 keys; those from `n_valid` on weigh nothing.
void attention_i8_softmax(LOCAL(float) s, LOCAL(float) ml, LOCAL(float) o, int32 key0, int32 half, int32 n_valid, float scale) {
    round_to_even();
    aie::set_saturation(aie::saturation_mode::saturate);
    if (scale != 1.0f)
        scale_scores(s, scale);
    if (key0 + 2 * static_cast<int32>(KEYS) > n_valid)
        mask_scores(s, [=](unsigned block) {
            // Column c is key 16·kr + 2·c + parity.
            const int32 first = key0 + 16 * (2 * half + static_cast<int32>(block / 2)) + static_cast<int32>(block % 2);
            return n_valid > first ? (n_valid - first + 1) / 2 : 0;
        });
    // The levels of P have a fixed range: m is the integer above the largest score, never below.
    advance_maxima(s, ml, o, Growth{0.0f, 0.5f});

    float *l = ml + layout::ROWS;
    const auto ones = aie::broadcast<int8, 64>(int8(1));
    for (unsigned row = 0; row < layout::ROWS; row += 16) {
        Vector maxima[4];
        aie::vector<int32, 16> sums;
        spread(aie::load_v<16>(ml + row), maxima);
        for (unsigned group = 0; group < 4; ++group) {
            const auto [upper, lower] = aie::interleave_zip(maxima[group], maxima[group], 4);
            aie::mmul<4, 8, 8, uint8, int8> row_sums;
            for (unsigned block = 0; block < KEY_BLOCKS; ++block) {
                const unsigned index = (row / 4 + group) * KEY_BLOCKS + block;
                const auto p = quantised(aie::sub(aie::load_v<16>(s + index * 32), upper),
                                         aie::sub(aie::load_v<16>(s + index * 32 + 16), lower));
                aie::store_v(s + index * 8, p.cast_to<float>());
                row_sums.mac(p, ones);
            }
            // Every column of the 4×8 block holds the row's sum: take the first.
            sums.insert(group, aie::filter_even(aie::filter_even(aie::filter_even(row_sums.to_vector<int32>()))));
        }
        aie::store_v(l + row, aie::add(aie::load_v<16>(l + row), aie::to_float<float>(sums)));
    }
}

/// o += P·V for half of the keys: int32 products, then f32.
void attention_i8_values(LOCAL(const float) s, LOCAL(const void) v, int32 half, LOCAL(float) o) {
    const uint8 *weights = reinterpret_cast<const uint8 *>(s);
    for (unsigned wide = 0; wide < layout::BLOCKS_I32; ++wide) {
        aie::vector<int8, BLOCK> right[KEY_BLOCKS];
        for (unsigned block = 0; block < KEY_BLOCKS; ++block)
            right[block] = aie::load_v<BLOCK>(block_of(v, 2 * half + block / 2, block % 2 * 8 + wide));
        for (unsigned group = 0; group < layout::GROUPS; ++group) {
            aie::mmul<4, 8, 8, uint8, int8> sum;
            for (unsigned block = 0; block < KEY_BLOCKS; ++block)
                sum.mac(aie::load_v<32>(weights + (group * KEY_BLOCKS + block) * 32), right[block]);
            const auto rows = sum.to_vector<int32>();
            const auto [left, right_half] = aie::interleave_unzip(rows.extract<16>(0), rows.extract<16>(1), 4);
            float *at = o + (group * layout::BLOCKS_F32 + 2 * wide) * 16;
            aie::store_v(at, aie::add(aie::load_v<16>(at), aie::to_float<float>(left)));
            aie::store_v(at + 16, aie::add(aie::load_v<16>(at + 16), aie::to_float<float>(right_half)));
        }
    }
}

/// o / l · column scale (V's scale per channel) → bf16. The 256 of P is in l as well.
void attention_i8_end(LOCAL(const float) o, LOCAL(const float) ml, LOCAL(const void) params, LOCAL(void) c) {
    round_to_even();
    alignas(64) float inverse[layout::ROWS];
    for (unsigned row = 0; row < layout::ROWS; row += 16)
        aie::store_v(inverse + row, inverse_of(ml + layout::ROWS + row));
    for (unsigned block = 0; block < layout::BLOCKS_F32; ++block) {
        const float *scales = layout::parameters::column_scale(params) + 4 * block;
        const Pair columns = split(aie::load_v<4>(scales).grow_replicate<16>());
        for (unsigned group = 0; group < layout::GROUPS; ++group) {
            const unsigned at = (group * layout::BLOCKS_F32 + block) * 16;
            const F32 mean = multiply(split(aie::load_v<16>(o + at)), split(four_rows(inverse + group * 4)));
            aie::store_v(static_cast<bfloat16 *>(c) + at, multiply(split(mean), columns).to_vector<bfloat16>());
        }
    }
}

} // extern "C"
