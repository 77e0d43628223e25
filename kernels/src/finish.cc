// Epilogues: what happens to the accumulator of a tile on its way to a C object. GELU and residual by the flags.

#include "gelu.h"

namespace {

using layout::parameters::GELU;
using layout::parameters::IDLE;

/// One row's worth of four columns, repeated for the four rows of a block.
inline Vector four_columns(const float *values) { return aie::load_v<4>(values).grow_replicate<16>(); }

inline Vector scaled(const Vector &x, const Pair &factor, const Vector &plus) {
    return multiply_add(accumulator(plus), split(x), factor).to_vector<float>();
}

inline void store_bf16(bfloat16 *c, unsigned group, unsigned block, const Vector &y) {
    aie::store_v(c + (group * layout::BLOCKS_F32 + block) * 16, accumulator(y).to_vector<bfloat16>());
}

/// A column group that has no work: its C object is zeros, whatever the accumulator holds.
inline bool idle(const void *params, void *c, unsigned bytes) {
    if ((layout::parameters::flags(params) & IDLE) == 0)
        return false;
    layout::fill_zero<16>(static_cast<int32 *>(c), bytes / 4);
    return true;
}

/// The two 4×4 halves of a 4×8 int32 block, in f32.
inline void halves(const int32 *block, Vector &left, Vector &right) {
    const auto [l, r] = aie::interleave_unzip(aie::load_v<16>(block), aie::load_v<16>(block + 16), 4);
    left = aie::to_float<float>(l);
    right = aie::to_float<float>(r);
}

} // namespace

extern "C" {

/// acc + bias → bf16.
void finish_bf16(LOCAL(const float) acc, LOCAL(const void) params, LOCAL(void) c) {
    round_to_even();
    if (idle(params, c, layout::C_BYTES))
        return;
    const bool with_gelu = (layout::parameters::flags(params) & GELU) != 0;
    for (unsigned block = 0; block < layout::BLOCKS_F32; ++block) {
        const Vector bias = four_columns(layout::parameters::bias(params) + 4 * block);
        for (unsigned group = 0; group < layout::GROUPS; ++group) {
            const Vector y = aie::add(aie::load_v<16>(acc + (group * layout::BLOCKS_F32 + block) * 16), bias);
            store_bf16(static_cast<bfloat16 *>(c), group, block, with_gelu ? gelu(y) : y);
        }
    }
}

/// acc + bias (GELU by flag) + residual → bf16. The residual's 64 columns are two A objects of 32.
void finish_bf16_residual(LOCAL(const float) acc, LOCAL(const void) params, LOCAL(const void) res0, LOCAL(const void) res1,
                          LOCAL(void) c) {
    round_to_even();
    if (idle(params, c, layout::C_BYTES))
        return;
    const bool with_gelu = (layout::parameters::flags(params) & GELU) != 0;
    // An A block is 8 columns wide: two blocks of C.
    for (unsigned wide = 0; wide < layout::COLUMNS / 8; ++wide) {
        const bfloat16 *residual = static_cast<const bfloat16 *>(wide < 4 ? res0 : res1) + wide % 4 * layout::GROUPS * 32;
        for (unsigned group = 0; group < layout::GROUPS; ++group) {
            const auto rows = aie::load_v<32>(residual + group * 32);
            const auto [left, right] = aie::interleave_unzip(rows.extract<16>(0), rows.extract<16>(1), 4);
            for (unsigned half = 0; half < 2; ++half) {
                const unsigned block = 2 * wide + half;
                const Vector bias = four_columns(layout::parameters::bias(params) + 4 * block);
                const Vector sum = aie::add(aie::load_v<16>(acc + (group * layout::BLOCKS_F32 + block) * 16), bias);
                const F32 y = accumulator(with_gelu ? gelu(sum) : sum);
                store_bf16(static_cast<bfloat16 *>(c), group, block,
                           aie::add(y, F32(half == 0 ? left : right)).to_vector<float>());
            }
        }
    }
}

/// acc · row scale · column scale + bias (GELU by flag) → bf16.
void finish_i8_bf16(LOCAL(const int32) acc, LOCAL(const void) params, LOCAL(const void) row_scales, LOCAL(void) c) {
    round_to_even();
    if (idle(params, c, layout::C_BYTES))
        return;
    const bool with_gelu = (layout::parameters::flags(params) & GELU) != 0;
    for (unsigned group = 0; group < layout::GROUPS; ++group) {
        Vector rows;
        for (unsigned r = 0; r < layout::GROUP; ++r)
            rows.insert(r, aie::broadcast<float, 4>(layout::row_scale(row_scales, group * layout::GROUP + r)));
        const Pair row_pair = split(rows);
        for (unsigned wide = 0; wide < layout::BLOCKS_I32; ++wide) {
            Vector part[2];
            halves(acc + (group * layout::BLOCKS_I32 + wide) * 32, part[0], part[1]);
            for (unsigned half = 0; half < 2; ++half) {
                const unsigned column = 8 * wide + 4 * half;
                const Vector by_row = multiply(split(part[half]), row_pair).to_vector<float>();
                const Pair columns = split(four_columns(layout::parameters::column_scale(params) + column));
                const Vector y = scaled(by_row, columns, four_columns(layout::parameters::bias(params) + column));
                store_bf16(static_cast<bfloat16 *>(c), group, column / 4, with_gelu ? gelu(y) : y);
            }
        }
    }
}

/// Half of the int32 tile, as it is: columns 32·half … of the accumulator as one C object of 4×2 blocks.
void finish_i8_i32(LOCAL(const int32) acc, int32 half, LOCAL(void) c) {
    int32 *out = static_cast<int32 *>(c);
    for (unsigned group = 0; group < layout::GROUPS; ++group) {
        for (unsigned wide = 0; wide < layout::BLOCKS_I32 / 2; ++wide) {
            const int32 *block = acc + (group * layout::BLOCKS_I32 + half * layout::BLOCKS_I32 / 2 + wide) * 32;
            const auto [even, odd] = aie::interleave_unzip(aie::load_v<16>(block), aie::load_v<16>(block + 16), 2);
            const auto [first, third] = aie::interleave_unzip(even.extract<8>(0), even.extract<8>(1), 2);
            const auto [second, fourth] = aie::interleave_unzip(odd.extract<8>(0), odd.extract<8>(1), 2);
            int32 *to = out + (group * 16 + wide * 4) * 8;
            aie::store_v(to, first);
            aie::store_v(to + 8, second);
            aie::store_v(to + 16, third);
            aie::store_v(to + 24, fourth);
        }
    }
}

/// sat(round(gelu?(acc · column scale + bias) · scale)) → int8; the tile is the left or the right half of a C object.
void finish_i8_i8(LOCAL(const int32) acc, LOCAL(const void) params, int32 half, LOCAL(void) c) {
    round_to_even();
    aie::set_saturation(aie::saturation_mode::saturate);
    int8 *out = static_cast<int8 *>(c) + half * layout::BLOCKS_I32 * 32;
    const uint32 flags = layout::parameters::flags(params);
    const Pair scale = split(constant(layout::parameters::scale(params)));
    for (unsigned wide = 0; wide < layout::BLOCKS_I32; ++wide) {
        for (unsigned group = 0; group < layout::GROUPS; ++group) {
            int8 *to = out + (group * 16 + wide) * 32;
            if ((flags & IDLE) != 0) {
                aie::store_v(to, aie::zeros<int8, 32>());
                continue;
            }
            Vector part[2];
            halves(acc + (group * layout::BLOCKS_I32 + wide) * 32, part[0], part[1]);
            for (unsigned i = 0; i < 2; ++i) {
                const unsigned column = 8 * wide + 4 * i;
                const Pair columns = split(four_columns(layout::parameters::column_scale(params) + column));
                const Vector y = scaled(part[i], columns, four_columns(layout::parameters::bias(params) + column));
                part[i] = multiply(split((flags & GELU) != 0 ? gelu(y) : y), scale).to_vector<float>();
            }
            const auto [top, bottom] = aie::interleave_zip(aie::to_fixed<int32>(part[0]), aie::to_fixed<int32>(part[1]), 4);
            const aie::accum<acc32, 32> rows(aie::concat(top, bottom));
            aie::store_v(to, rows.to_vector<int8>());
        }
    }
}

} // extern "C"
