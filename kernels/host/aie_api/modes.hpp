// Rounding and saturation: the mode registers of one core and the narrowing that they govern.
//
// Codes and meaning: Xilinx/aie_api:include/aie_api/aie_types.hpp. A core powers up in floor and none
// (FIM43-Redeye/xdna-emu; amd/IRON, flm/gemm/README): a kernel that does not set its mode truncates and wraps.
#pragma once

#include "lanes.hpp"

#include <limits>

namespace aie {

enum class rounding_mode : unsigned {
    floor = 0,           ///< towards −∞
    ceil = 1,            ///< towards +∞
    symmetric_floor = 2, ///< towards zero
    symmetric_ceil = 3,  ///< away from zero
    negative_inf = 8,    ///< nearest, halves towards −∞
    positive_inf = 9,    ///< nearest, halves towards +∞
    symmetric_zero = 10, ///< nearest, halves towards zero
    symmetric_inf = 11,  ///< nearest, halves away from zero
    conv_even = 12,      ///< nearest, halves to even
    conv_odd = 13,       ///< nearest, halves to odd
};

enum class saturation_mode : unsigned {
    none = 0,      ///< wraps
    saturate = 1,  ///< −128 … 127 for int8
    symmetric = 3, ///< −127 … 127 for int8
};

namespace detail {

struct modes {
    rounding_mode rounding = rounding_mode::floor;
    saturation_mode saturation = saturation_mode::none;
};

/// Of the core that this thread plays. Reached without a call: each narrowing looks at it.
inline thread_local modes current_modes __attribute__((tls_model("initial-exec")));

} // namespace detail

inline void set_rounding(rounding_mode mode) { detail::current_modes.rounding = mode; }
inline void set_saturation(saturation_mode mode) { detail::current_modes.saturation = mode; }
inline rounding_mode get_rounding() { return detail::current_modes.rounding; }
inline saturation_mode get_saturation() { return detail::current_modes.saturation; }

namespace detail {

/// `value` / 2^shift as an integer; the discarded bits decide by `mode`. 0 ≤ shift < 63.
inline int64_t round_shift(int64_t value, unsigned shift, rounding_mode mode) {
    if (shift == 0)
        return value;
    const int64_t down = value >> shift;
    const int64_t rest = value - static_cast<int64_t>(static_cast<uint64_t>(down) << shift);
    const int64_t half = int64_t{1} << (shift - 1);
    const bool negative = value < 0;
    bool up = false;
    switch (mode) {
    case rounding_mode::floor: break;
    case rounding_mode::ceil: up = rest != 0; break;
    case rounding_mode::symmetric_floor: up = negative && rest != 0; break;
    case rounding_mode::symmetric_ceil: up = !negative && rest != 0; break;
    case rounding_mode::negative_inf: up = rest > half; break;
    case rounding_mode::positive_inf: up = rest >= half; break;
    case rounding_mode::symmetric_zero: up = rest > half || (rest == half && negative); break;
    case rounding_mode::symmetric_inf: up = rest > half || (rest == half && !negative); break;
    case rounding_mode::conv_even: up = rest > half || (rest == half && (down & 1) != 0); break;
    case rounding_mode::conv_odd: up = rest > half || (rest == half && (down & 1) == 0); break;
    }
    return down + (up ? 1 : 0);
}

/// Narrows an integer as the store of an accumulator does.
template <typename T>
inline T saturate(int64_t value, saturation_mode mode) {
    constexpr int64_t most = std::numeric_limits<T>::max();
    constexpr int64_t least = std::numeric_limits<T>::min();
    if (mode == saturation_mode::none)
        return static_cast<T>(value);
    const int64_t low = mode == saturation_mode::symmetric && least < 0 ? -most : least;
    return static_cast<T>(value < low ? low : value > most ? most : value);
}

/// The bits of the bfloat16 next to `value` by `mode`. Infinities stay, a NaN stays a (quiet) NaN.
inline uint16_t narrow_to_bfloat16(float value, rounding_mode mode) {
    const uint32_t bits = bits_as<uint32_t>(value);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return static_cast<uint16_t>((bits >> 16) | 0x40u);
    // As a signed number the pattern grows with the value, so that "towards −∞" means the same for both.
    const bool negative = (bits >> 31) != 0;
    const int64_t number = negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
    const int64_t rounded = round_shift(number, 16, mode);
    const uint32_t pattern = static_cast<uint32_t>(rounded < 0 ? -rounded : rounded);
    return static_cast<uint16_t>(pattern | (negative ? 0x8000u : 0u));
}

} // namespace detail
} // namespace aie

/// Brain float: the upper half of an f32.
struct bfloat16 {
    uint16_t bits;
    bfloat16() = default;
    /// Constants are rounded to nearest even, whatever the core's mode: the compiler does it.
    bfloat16(float value) : bits(aie::detail::narrow_to_bfloat16(value, aie::rounding_mode::conv_even)) {}
    operator float() const { return aie::detail::bits_as<float>(static_cast<uint32_t>(bits) << 16); }
};
