// `aie::accum`: accumulator registers, and the narrowing stores and widening loads between them and vectors.
#pragma once

#include "vector.hpp"

#include <cmath>

struct acc32 {};
struct acc64 {};
struct accfloat {};

namespace aie {
namespace detail {

template <typename Tag>
struct accumulated;
template <> struct accumulated<acc32> { using type = int32_t; };
template <> struct accumulated<acc64> { using type = int64_t; };
template <> struct accumulated<accfloat> { using type = float; };

/// Eight products or one accumulator at a time are widened to f32: exact.
template <unsigned N>
inline lanes<float, N> widen(const lanes<uint16_t, N> &bits) {
    return bits_as<lanes<float, N>>(convert<uint32_t, N>(bits) << 16);
}

/// Rounds to nearest even all lanes at once; the mode that every kernel of ours sets.
template <unsigned N>
inline lanes<uint16_t, N> narrow_to_even(const lanes<float, N> &values) {
    const auto bits = bits_as<lanes<uint32_t, N>>(values);
    const auto rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const lanes<int32_t, N> is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return convert<uint16_t, N>(choose<uint32_t, N>(is_nan, (bits >> 16) | 0x40u, rounded));
}

/// Any mode, lane by lane; out of line, so that the fast way keeps its registers.
template <unsigned N>
[[gnu::noinline, gnu::cold]] void narrow_by_mode(const lanes<float, N> &values, rounding_mode mode, lanes<uint16_t, N> &bits) {
    for (unsigned i = 0; i < N; ++i)
        bits[i] = narrow_to_bfloat16(values[i], mode);
}

template <unsigned N>
inline lanes<uint16_t, N> narrow(const lanes<float, N> &values) {
    const rounding_mode mode = current_modes.rounding;
    if (mode == rounding_mode::conv_even) [[likely]]
        return narrow_to_even<N>(values);
    lanes<uint16_t, N> bits;
    narrow_by_mode<N>(values, mode, bits);
    return bits;
}

} // namespace detail

template <typename Tag, unsigned N>
class accum {
public:
    using value_type = typename detail::accumulated<Tag>::type;
    using storage = detail::lanes<value_type, N>;
    static constexpr bool is_float = std::is_same_v<Tag, accfloat>;
    storage data{};

    accum() = default;
    accum(const storage &lanes) : data(lanes) {}
    /// Widens: a bfloat16 or f32 exactly, an integer shifted left.
    template <typename T>
    accum(const vector<T, N> &v, int shift = 0) { from_vector(v, shift); }

    static constexpr unsigned size() { return N; }

    template <typename T>
    void from_vector(const vector<T, N> &v, [[maybe_unused]] int shift = 0) {
        if constexpr (is_float && std::is_same_v<T, bfloat16>)
            data = detail::widen<N>(v.data);
        else if constexpr (is_float) {
            static_assert(std::is_same_v<T, float>, "integers enter a float accumulator through to_float");
            data = v.data;
        } else
            data = detail::convert<value_type, N>(v.data) << static_cast<value_type>(shift);
    }

    /// Shift, round, saturate by the core's modes (f32 to f32 is a copy).
    template <typename T>
    vector<T, N> to_vector([[maybe_unused]] int shift = 0) const {
        if constexpr (is_float && std::is_same_v<T, bfloat16>)
            return vector<T, N>(detail::narrow<N>(data));
        else if constexpr (is_float) {
            static_assert(std::is_same_v<T, float>, "a float accumulator leaves as f32 or bfloat16; see to_fixed");
            return vector<T, N>(data);
        } else {
            const detail::modes modes = detail::current_modes;
            vector<T, N> narrowed;
            for (unsigned i = 0; i < N; ++i)
                narrowed.data[i] = detail::saturate<T>(
                    detail::round_shift(data[i], static_cast<unsigned>(shift), modes.rounding), modes.saturation);
            return narrowed;
        }
    }

    template <unsigned M>
    accum<Tag, M> extract(unsigned index) const {
        accum<Tag, M> part;
        std::memcpy(&part.data, reinterpret_cast<const char *>(&data) + index * sizeof part.data, sizeof part.data);
        return part;
    }

    template <unsigned M>
    accum &insert(unsigned index, const accum<Tag, M> &part) {
        std::memcpy(reinterpret_cast<char *>(&data) + index * sizeof part.data, &part.data, sizeof part.data);
        return *this;
    }
};

} // namespace aie
