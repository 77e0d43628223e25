// 16×16 int8 products with the buffers of Unicorn-Commander/Unicorn-Amanuensis (matmul_fixed.mlir): one input of 512 bytes,
// A then B, both row-major; kept so that its one-tile-a-launch way can be run beside ours.

#include "layout.h"

namespace {

using Mmul = aie::mmul<4, 16, 8, int8, int8>;

/// Left and right 16×8 half of a row-major 16×16 B.
struct Halves {
    aie::vector<int8, 128> left, right;
};

inline Halves halves_of(const int8 *b) {
    const auto [left, right] = aie::interleave_unzip(aie::load_v<128>(b), aie::load_v<128>(b + 128), 8);
    return {left, right};
}

/// Four rows of C from int32 halves: stored row-major, 16 wide.
template <bool Accumulate>
inline void rows_i32(const int8 *a_then_b, int32 *c) {
    const Halves b = halves_of(a_then_b + 256);
    for (unsigned row = 0; row < 16; row += 4) {
        // Four rows of a row-major 16-wide A are one 4×16 block.
        const auto a = aie::load_v<64>(a_then_b + row * 16);
        Mmul left, right;
        left.mac(a, b.left);
        right.mac(a, b.right);
        const auto [top, bottom] = aie::interleave_zip(left.to_vector<int32>(), right.to_vector<int32>(), 8);
        int32 *to = c + row * 16;
        if constexpr (Accumulate) {
            aie::store_v(to, aie::add(top, aie::load_v<32>(to)));
            aie::store_v(to + 32, aie::add(bottom, aie::load_v<32>(to + 32)));
        } else {
            aie::store_v(to, top);
            aie::store_v(to + 32, bottom);
        }
    }
}

} // namespace

extern "C" {

/// c (256 B) = clamp(A·B >> 7), the seed's fixed requantisation: towards −∞, −128 … 127.
void matmul_16x16_i8(LOCAL(const int8) a_then_b, LOCAL(int8) c) {
    aie::set_rounding(aie::rounding_mode::floor);
    aie::set_saturation(aie::saturation_mode::saturate);
    const Halves b = halves_of(a_then_b + 256);
    for (unsigned row = 0; row < 16; row += 4) {
        const auto a = aie::load_v<64>(a_then_b + row * 16);
        Mmul left, right;
        left.mac(a, b.left);
        right.mac(a, b.right);
        const auto [top, bottom] = aie::interleave_zip(left.to_vector<int8>(7), right.to_vector<int8>(7), 8);
        aie::store_v(c + row * 16, aie::concat(top, bottom));
    }
}

/// c (1024 B) = A·B, int32 row-major.
void matmul_16x16_i32(LOCAL(const int8) a_then_b, LOCAL(int32) c) { rows_i32<false>(a_then_b, c); }

/// c += A·B: the host need not add up the tiles along K.
void matmul_16x16_acc_i32(LOCAL(const int8) a_then_b, LOCAL(int32) c) { rows_i32<true>(a_then_b, c); }

} // extern "C"
