// `aie::mmul<R, S, T, …>`: a block product, C (R×T) += A (R×S) · B (S×T), all three row-major in registers.
//
// int8 products add exactly, modulo 2^32; the left side may be uint8, as each operand has a sign of its own
// (aie_api's detail/aie2/mmul_8_8.hpp: a_sign, b_sign). bfloat16: with AIE_HOST_EXACT every eight products of an element
// are one instruction of vmac.hpp (larger shapes are sequences of those); without, plain f32, written to be fast here.
#pragma once

#include "arithmetic.hpp"

namespace aie {
namespace detail {

/// f32 lanes in one register of the host.
#if defined(__AVX512F__)
inline constexpr unsigned host_lanes = 16;
#elif defined(__AVX__)
inline constexpr unsigned host_lanes = 8;
#else
inline constexpr unsigned host_lanes = 4;
#endif

/// Lanes of A and of B that meet in host register `v` of C at step s; C is cut into registers of L lanes.
template <unsigned L, unsigned S, unsigned T, unsigned V, unsigned Step>
struct product_index {
    static constexpr std::size_t a(std::size_t lane) { return (V * L + lane) / T * S + Step; }
    static constexpr std::size_t b(std::size_t lane) { return Step * T + (V * L + lane) % T; }
    static constexpr std::size_t a_first = a(0) / L, a_second = a(L - 1) / L;
    static constexpr std::size_t b_source = b(0) / L;
    struct from_a {
        static constexpr std::size_t at(std::size_t i) { return a(i) / L == a_first ? a(i) % L : L + a(i) % L; }
    };
    struct from_b {
        static constexpr std::size_t at(std::size_t i) { return b(i) % L; }
    };
};

template <unsigned L, unsigned N>
struct pieces {
    lanes<float, L> part[N / L];
};

/// Lanes First … First + L.
template <unsigned L, unsigned First, typename T, unsigned N>
inline lanes<T, L> part_of(const lanes<T, N> &wide) {
    lanes<T, L> part;
    std::memcpy(&part, reinterpret_cast<const char *>(&wide) + First * sizeof(T), sizeof part);
    return part;
}

template <unsigned L, unsigned N, typename From, std::size_t... I>
inline pieces<L, N> cut(const From &wide, std::index_sequence<I...>) {
    if constexpr (std::is_same_v<From, lanes<uint16_t, N>>)
        return {{widen<L>(part_of<L, I * L, uint16_t, N>(wide))...}};
    else if constexpr (std::is_same_v<From, lanes<uint8_t, N>>)
        return {{convert<float, L>(convert<int32_t, L>(convert<uint16_t, L>(part_of<L, I * L, uint8_t, N>(wide))))...}};
    else if constexpr (std::is_same_v<From, lanes<int8_t, N>>)
        // Doubling the width at each step: older compilers cut a wider leap into scalars.
        return {{convert<float, L>(convert<int32_t, L>(convert<int16_t, L>(part_of<L, I * L, int8_t, N>(wide))))...}};
    else
        return {{part_of<L, I * L, float, N>(wide)...}};
}

/// As f32 registers of the host, L lanes each.
template <unsigned L, unsigned N, typename From>
inline pieces<L, N> cut(const From &wide) {
    return cut<L, N>(wide, std::make_index_sequence<N / L>{});
}

template <unsigned R, unsigned S, unsigned T, unsigned V, unsigned L, std::size_t... Step>
inline lanes<float, L> product_register(lanes<float, L> c, const pieces<L, R * S> &a, const pieces<L, S * T> &b,
                                        std::index_sequence<Step...>) {
    ((c += gather<typename product_index<L, S, T, V, Step>::from_a, float, L, L>(
               a.part[product_index<L, S, T, V, Step>::a_first], a.part[product_index<L, S, T, V, Step>::a_second]) *
           gather<typename product_index<L, S, T, V, Step>::from_b, float, L, L>(
               b.part[product_index<L, S, T, V, Step>::b_source], b.part[product_index<L, S, T, V, Step>::b_source])),
     ...);
    return c;
}

template <unsigned R, unsigned S, unsigned T, unsigned L, std::size_t... V>
inline lanes<float, R * T> product_pieces(const pieces<L, R * T> &c, const pieces<L, R * S> &a, const pieces<L, S * T> &b,
                                   std::index_sequence<V...>) {
    const lanes<float, L> parts[] = {
        product_register<R, S, T, V, L>(c.part[V], a, b, std::make_index_sequence<S>{})...};
    return bits_as<lanes<float, R * T>>(parts);
}

/// C + A·B in f32.
template <unsigned R, unsigned S, unsigned T, typename A, typename B>
inline lanes<float, R * T> product(const lanes<float, R * T> &c, const A &a, const B &b) {
    constexpr unsigned L = host_lanes < R * T ? host_lanes : R * T;
    static_assert(R * S % L == 0 && S * T % L == 0);
    return product_pieces<R, S, T, L>(cut<L, R * T>(c), cut<L, R * S>(a), cut<L, S * T>(b), std::make_index_sequence<R * T / L>{});
}

/// C + A·B by the device's instructions of eight products.
template <unsigned R, unsigned S, unsigned T>
inline lanes<float, R * T> product_exact(const lanes<float, R * T> &c, const lanes<uint16_t, R * S> &a,
                                         const lanes<uint16_t, S * T> &b) {
    static_assert(S % 8 == 0, "an instruction takes eight products");
    const auto wide_a = widen<R * S>(a);
    const auto wide_b = widen<S * T>(b);
    lanes<double, T> rows_b[S];
    for (unsigned s = 0; s < S; ++s) {
        lanes<float, T> row;
        std::memcpy(&row, reinterpret_cast<const char *>(&wide_b) + s * sizeof row, sizeof row);
        rows_b[s] = convert<double, T>(row);
    }
    lanes<float, R * T> result = c;
    for (unsigned r = 0; r < R; ++r) {
        char *place = reinterpret_cast<char *>(&result) + r * T * sizeof(float);
        lanes<float, T> sum;
        std::memcpy(&sum, place, sizeof sum);
        for (unsigned s = 0; s < S; s += 8) {
            lanes<double, T> products[8];
            for (unsigned i = 0; i < 8; ++i)
                products[i] = rows_b[s + i] * static_cast<double>(wide_a[r * S + s + i]);
            sum = convert<float, T>(align_and_add<8, T>(convert<double, T>(sum), products));
        }
        std::memcpy(place, &sum, sizeof sum);
    }
    return result;
}

/// The block shapes with an implementation in aie_api's detail/aie2 or detail/aie2p folder (by __AIE_ARCH__ 20 or 21).
template <unsigned R, unsigned S, unsigned T, typename Operand>
constexpr bool shape_exists() {
#if defined(__AIE_ARCH__) && __AIE_ARCH__ == 21
    constexpr bool newer = true;
#else
    constexpr bool newer = false;
#endif
    constexpr auto is = [](unsigned r, unsigned s, unsigned t) { return R == r && S == s && T == t; };
    if constexpr (std::is_same_v<Operand, bfloat16>)
        return is(4, 8, 4) || is(4, 8, 8) || is(8, 8, 4) || is(8, 8, 8);
    else
        return is(4, 8, 8) || is(8, 8, 8) || is(2, 8, 8) || is(4, 16, 8) || is(8, 16, 8) || (!newer && is(4, 8, 4));
}

} // namespace detail

template <unsigned R, unsigned S, unsigned T, typename A, typename B = A,
          typename Tag = std::conditional_t<std::is_same_v<A, bfloat16>, accfloat, acc32>>
class mmul {
    static constexpr bool is_float = std::is_same_v<A, bfloat16>;
    static_assert(is_float ? std::is_same_v<B, bfloat16> : std::is_integral_v<A> && sizeof(A) == 1 && std::is_same_v<B, int8_t>);
    static_assert(detail::shape_exists<R, S, T, B>(), "aie_api has no such mmul for this architecture");

public:
    static constexpr unsigned size_A = R * S;
    static constexpr unsigned size_B = S * T;
    static constexpr unsigned size_C = R * T;
    using accum_type = accum<Tag, size_C>;
    using stored = std::conditional_t<is_float, float, int32_t>;

    mmul() = default;
    mmul(const accum_type &start) : sum(start) {}
    mmul(const vector<stored, size_C> &start) : sum(start) {}

    void mac(const vector<A, size_A> &a, const vector<B, size_B> &b) {
        if constexpr (!is_float) {
            // |products of one block| ≤ 16 · 255 · 128 < 2^19: exact in f32, whose units are the fastest.
            const auto block = detail::convert<int32_t, size_C>(detail::product<R, S, T>(detail::lanes<float, size_C>{}, a.data, b.data));
            sum.data = add(vector<int32_t, size_C>(sum.data), vector<int32_t, size_C>(block)).data;
        } else {
#if AIE_HOST_EXACT
            sum.data = detail::product_exact<R, S, T>(sum.data, a.data, b.data);
#else
            sum.data = detail::product<R, S, T>(sum.data, a.data, b.data);
#endif
        }
    }

    void mul(const vector<A, size_A> &a, const vector<B, size_B> &b) {
        sum = accum_type();
        mac(a, b);
    }

    accum_type to_accum() const { return sum; }

    template <typename U>
    vector<U, size_C> to_vector(int shift = 0) const { return sum.template to_vector<U>(shift); }

private:
    accum_type sum;
};

} // namespace aie
