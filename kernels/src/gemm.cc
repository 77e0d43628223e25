// One turn of a matrix product: two A objects times two B objects into the core's 64×64 accumulator, which goes through
// registers once for both.

#include "block_product.h"

extern "C" {

/// 16384 bytes of zeros: 64×64 f32 or int32.
void zero_acc(void *acc) { layout::fill_zero<16>(static_cast<int32 *>(acc), layout::ACC_BYTES / 4); }

/// 64×64 by 64×64 bfloat16 into f32: two objects of k = 32.
void gemm_bf16_step2(LOCAL(const void) a0, LOCAL(const void) a1, LOCAL(const void) b0, LOCAL(const void) b1, LOCAL(float) acc) {
    constexpr unsigned block = layout::GROUP * 8;
    accumulate_tile<bfloat16, 4, 2, 4>({static_cast<const bfloat16 *>(a0), static_cast<const bfloat16 *>(a1)},
                                       layout::GROUPS * block, block,
                                       {static_cast<const bfloat16 *>(b0), static_cast<const bfloat16 *>(b1)}, acc);
}

/// 64×128 by 128×64 int8 into int32: two objects of k = 64.
void gemm_i8_step2(LOCAL(const void) a0, LOCAL(const void) a1, LOCAL(const void) b0, LOCAL(const void) b1, LOCAL(int32) acc) {
    constexpr unsigned block = layout::GROUP * 16;
    accumulate_tile<int8, 4, 2, 2>({static_cast<const int8 *>(a0), static_cast<const int8 *>(a1)}, layout::GROUPS * block,
                                   block, {static_cast<const int8 *>(b0), static_cast<const int8 *>(b1)}, acc);
}

} // extern "C"
