// The host's thin aie_api: the part of AMD's AIE vector API that our kernels use, so that the same kernel sources compile
// with any g++ or clang++ (C++20) and can be tested and emulated.
//
//   AIE_HOST_EXACT=1  bfloat16 accumulates as measured on the device (vmac.hpp)
//   AIE_HOST_EXACT=0  bfloat16 accumulates in f32: fast
//
// Integer arithmetic, rounding, saturation and narrowing are exact in both. What it does not show: that Peano accepts the
// source, register pressure, the 16 KiB of program memory, timing.
#pragma once

#include "mmul.hpp"

using int8 = int8_t;
using int16 = int16_t;
using int32 = int32_t;
using uint8 = uint8_t;
using uint16 = uint16_t;
using uint32 = uint32_t;
