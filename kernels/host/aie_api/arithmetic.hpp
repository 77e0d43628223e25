// Elementwise arithmetic, comparisons and conversions.
//
// f32 additions and subtractions round to nearest even as IEEE; what the device's adder does with halves is not measured.
#pragma once

#include "vmac.hpp"

namespace aie {

template <typename T, unsigned N>
inline vector<T, N> add(const vector<T, N> &a, const vector<T, N> &b) {
    static_assert(!std::is_same_v<T, bfloat16>);
    if constexpr (std::is_integral_v<T>) {
        using U = std::make_unsigned_t<T>; // wraps
        using bits = detail::lanes<U, N>;
        return vector<T, N>(detail::bits_as<detail::lanes<T, N>>(detail::bits_as<bits>(a.data) + detail::bits_as<bits>(b.data)));
    } else
        return vector<T, N>(a.data + b.data);
}

template <typename T, unsigned N>
inline vector<T, N> sub(const vector<T, N> &a, const vector<T, N> &b) {
    static_assert(!std::is_same_v<T, bfloat16>);
    if constexpr (std::is_integral_v<T>) {
        using U = std::make_unsigned_t<T>;
        using bits = detail::lanes<U, N>;
        return vector<T, N>(detail::bits_as<detail::lanes<T, N>>(detail::bits_as<bits>(a.data) - detail::bits_as<bits>(b.data)));
    } else
        return vector<T, N>(a.data - b.data);
}

template <unsigned N>
inline accum<accfloat, N> add(const accum<accfloat, N> &a, const accum<accfloat, N> &b) { return {a.data + b.data}; }
template <unsigned N>
inline accum<accfloat, N> add(const accum<accfloat, N> &a, const vector<float, N> &b) { return {a.data + b.data}; }
template <unsigned N>
inline accum<accfloat, N> sub(const accum<accfloat, N> &a, const accum<accfloat, N> &b) { return {a.data - b.data}; }
template <unsigned N>
inline accum<accfloat, N> sub(const accum<accfloat, N> &a, const vector<float, N> &b) { return {a.data - b.data}; }

/// bfloat16 products, exact.
template <unsigned N>
inline accum<accfloat, N> mul(const vector<bfloat16, N> &a, const vector<bfloat16, N> &b) {
    return {detail::widen<N>(a.data) * detail::widen<N>(b.data)};
}

template <unsigned N>
inline accum<accfloat, N> mac(const accum<accfloat, N> &sum, const vector<bfloat16, N> &a, const vector<bfloat16, N> &b) {
    return {detail::multiply_accumulate<N>(sum.data, detail::widen<N>(a.data), detail::widen<N>(b.data))};
}

template <unsigned N>
inline accum<accfloat, N> msc(const accum<accfloat, N> &sum, const vector<bfloat16, N> &a, const vector<bfloat16, N> &b) {
    return {detail::multiply_accumulate<N>(sum.data, -detail::widen<N>(a.data), detail::widen<N>(b.data))};
}

template <unsigned N>
inline vector<float, N> neg(const vector<float, N> &v) { return vector<float, N>(-v.data); }

template <unsigned N>
inline vector<float, N> abs(const vector<float, N> &v) {
    using bits = detail::lanes<uint32_t, N>;
    return vector<float, N>(detail::bits_as<detail::lanes<float, N>>(detail::bits_as<bits>(v.data) & 0x7fffffffu));
}

template <typename T, unsigned N>
inline vector<T, N> max(const vector<T, N> &a, const vector<T, N> &b) {
    return vector<T, N>(detail::choose<T, N>(a.data > b.data, a.data, b.data));
}

template <typename T, unsigned N>
inline vector<T, N> min(const vector<T, N> &a, const vector<T, N> &b) {
    return vector<T, N>(detail::choose<T, N>(a.data < b.data, a.data, b.data));
}

template <typename T, unsigned N>
inline mask<N> lt(const vector<T, N> &a, const vector<T, N> &b) {
    static_assert(sizeof(T) == 4);
    return {a.data < b.data};
}

/// Where the mask is set the element of `yes`, else that of `no` (aie::select: the second operand where set).
template <typename T, unsigned N>
inline vector<T, N> select(const vector<T, N> &no, const vector<T, N> &yes, const mask<N> &m) {
    static_assert(sizeof(T) == 4);
    return vector<T, N>(detail::choose<T, N>(m.bits, yes.data, no.data));
}

template <typename T, unsigned N>
inline T reduce_max(const vector<T, N> &v) {
    T largest = v.get(0);
    for (unsigned i = 1; i < N; ++i)
        largest = v.get(i) > largest ? v.get(i) : largest;
    return largest;
}

template <unsigned N>
inline vector<int32_t, N> upshift(const vector<int32_t, N> &v, unsigned shift) {
    using bits = detail::lanes<uint32_t, N>;
    return vector<int32_t, N>(detail::bits_as<detail::lanes<int32_t, N>>(detail::bits_as<bits>(v.data) << shift));
}

template <typename T, unsigned N>
inline vector<float, N> to_float(const vector<int32_t, N> &v) {
    static_assert(std::is_same_v<T, float>);
    return vector<float, N>(detail::convert<float, N>(v.data));
}

/// Nearest integer, ties to even whatever the mode (the device adds a large constant), saturating; of a NaN the least.
template <typename T, unsigned N>
inline vector<int32_t, N> to_fixed(const vector<float, N> &v) {
    static_assert(std::is_same_v<T, int32_t>);
    vector<int32_t, N> fixed;
    for (unsigned i = 0; i < N; ++i) {
        const float x = v.data[i];
        fixed.data[i] = x >= 2147483648.0f ? INT32_MAX : !(x >= -2147483648.0f) ? INT32_MIN : static_cast<int32_t>(std::rint(x));
    }
    return fixed;
}

/// 1/x, correctly rounded. The device approximates: kernels add a Newton step of their own.
template <unsigned N>
inline vector<float, N> inv(const vector<float, N> &v) { return vector<float, N>(1.0f / v.data); }

} // namespace aie
