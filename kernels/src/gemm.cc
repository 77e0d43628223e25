// One step of a matrix product: an A object times a B object into the core's 64×64 accumulator.

#include "block_product.h"

extern "C" {

/// 16384 bytes of zeros: 64×64 f32 or int32.
void zero_acc(void *acc) { layout::fill_zero<16>(static_cast<int32 *>(acc), layout::ACC_BYTES / 4); }

/// 64×32 by 32×64 bfloat16 into f32.
void gemm_bf16_step(LOCAL(const void) a, LOCAL(const void) b, LOCAL(float) acc) {
    constexpr unsigned block = layout::GROUP * 8;
    accumulate_tile<bfloat16, 4, 2, 4>(static_cast<const bfloat16 *>(a), layout::GROUPS * block, block,
                                       static_cast<const bfloat16 *>(b), acc);
}

/// 64×64 by 64×64 int8 into int32.
void gemm_i8_step(LOCAL(const void) a, LOCAL(const void) b, LOCAL(int32) acc) {
    constexpr unsigned block = layout::GROUP * 16;
    accumulate_tile<int8, 4, 2, 2>(static_cast<const int8 *>(a), layout::GROUPS * block, block,
                                   static_cast<const int8 *>(b), acc);
}

} // extern "C"
