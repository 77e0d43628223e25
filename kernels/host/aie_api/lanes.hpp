// Lanes: the SIMD storage below the host's vectors and accumulators, on the vector extensions of GCC and Clang.
//
// A type as wide as an AIE register compiles for any CPU: the compiler cuts it into what the machine has.
#pragma once

#if !defined(__GNUC__)
#error "The host's aie_api needs the vector extensions of GCC or Clang: compile with g++ or clang++."
#endif
#if defined(__GNUC__) && !defined(__clang__)
// Wide vectors by value change the ABI with the CPU's flags; nothing here crosses an ABI boundary by value.
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace aie::detail {

template <typename T, unsigned N>
struct lanes_type {
    typedef T type __attribute__((vector_size(N * sizeof(T))));
};

/// N lanes of T, a power of two.
template <typename T, unsigned N>
using lanes = typename lanes_type<T, N>::type;

/// Signed integer as wide as T: what a comparison of lanes yields.
template <typename T>
using mask_lane = std::conditional_t<sizeof(T) == 1, int8_t,
                  std::conditional_t<sizeof(T) == 2, int16_t, std::conditional_t<sizeof(T) == 4, int32_t, int64_t>>>;

template <typename To, typename From>
inline To bits_as(const From &from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

template <typename T, unsigned N>
inline lanes<T, N> splat(T value) {
    return lanes<T, N>{} + value;
}

/// Lane by lane conversion with the meaning of static_cast.
template <typename To, unsigned N, typename From>
inline lanes<To, N> convert(const From &from) {
    return __builtin_convertvector(from, lanes<To, N>);
}

/// `mask` is all ones or all zeros in each lane. By bits: wide ternaries are cut into scalars by older compilers.
template <typename T, unsigned N>
inline lanes<T, N> choose(const lanes<mask_lane<T>, N> &mask, const lanes<T, N> &yes, const lanes<T, N> &no) {
    using bits = lanes<mask_lane<T>, N>;
    return bits_as<lanes<T, N>>((mask & bits_as<bits>(yes)) | (~mask & bits_as<bits>(no)));
}

/// Lane i of the result is lane `index(i)` of `a` followed by `b`; `index` is known to the compiler.
template <typename T, unsigned Out, unsigned In, typename Index, std::size_t... I>
inline lanes<T, Out> gather(const lanes<T, In> &a, const lanes<T, In> &b, Index, std::index_sequence<I...>) {
    return __builtin_shufflevector(a, b, static_cast<int>(Index::at(I))...);
}

template <typename Index, typename T, unsigned Out, unsigned In>
inline lanes<T, Out> gather(const lanes<T, In> &a, const lanes<T, In> &b) {
    return gather<T, Out, In>(a, b, Index{}, std::make_index_sequence<Out>{});
}

} // namespace aie::detail
