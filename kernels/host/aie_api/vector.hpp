// `aie::vector`: a register of N elements, and moving elements between registers and memory.
#pragma once

#include "modes.hpp"

#include <cassert>

namespace aie {
namespace detail {

/// What lies in the lanes for an element type: a bfloat16 is kept as its bits.
template <typename T>
using lane = std::conditional_t<std::is_same_v<T, bfloat16>, uint16_t, T>;

/// An address that the core's load and store units take: 32 bytes for 256 bits and wider, else the vector's own size.
inline void check_alignment([[maybe_unused]] const void *address, [[maybe_unused]] unsigned bytes) {
    assert(reinterpret_cast<uintptr_t>(address) % (bytes < 32 ? bytes : 32) == 0 &&
           "an AIE vector load or store must lie on 32 bytes (or on its own size when smaller)");
}

} // namespace detail

/// True or false per element, as the result of a comparison.
template <unsigned N>
struct mask {
    detail::lanes<int32_t, N> bits;

    /// Bit i is element i.
    uint32_t to_uint32() const {
        static_assert(N <= 32);
        uint32_t packed = 0;
        for (unsigned i = 0; i < N; ++i)
            packed |= (static_cast<uint32_t>(bits[i]) & 1u) << i;
        return packed;
    }
};

/// Registers of 128 to 1024 bits, and of 2048 on AIE2P.
template <typename T, unsigned N>
constexpr bool fits_register() {
#if defined(__AIE_ARCH__) && __AIE_ARCH__ == 21
    constexpr unsigned most = 2048;
#else
    constexpr unsigned most = 1024;
#endif
    constexpr unsigned bits = 8 * sizeof(T) * N;
    return bits >= 128 && bits <= most && (N & (N - 1)) == 0;
}

template <typename T, unsigned N>
class vector {
    static_assert(fits_register<T, N>(), "a core has no vector of this many bits");

public:
    using value_type = T;
    using lane = detail::lane<T>;
    using storage = detail::lanes<lane, N>;
    storage data{};

    vector() = default;
    vector(const storage &lanes) : data(lanes) {}

    static constexpr unsigned size() { return N; }

    T get(unsigned index) const { return detail::bits_as<T>(static_cast<lane>(data[index])); }
    T operator[](unsigned index) const { return get(index); }
    void set(T value, unsigned index) { data[index] = detail::bits_as<lane>(value); }

    /// Elements `index`·M … of this.
    template <unsigned M>
    vector<T, M> extract(unsigned index) const {
        vector<T, M> part;
        std::memcpy(&part.data, reinterpret_cast<const char *>(&data) + index * sizeof part.data, sizeof part.data);
        return part;
    }

    template <unsigned M>
    vector &insert(unsigned index, const vector<T, M> &part) {
        std::memcpy(reinterpret_cast<char *>(&data) + index * sizeof part.data, &part.data, sizeof part.data);
        return *this;
    }

    /// The same bits as elements of another type.
    template <typename U>
    vector<U, N * sizeof(T) / sizeof(U)> cast_to() const {
        using to = vector<U, N * sizeof(T) / sizeof(U)>;
        return to(detail::bits_as<typename to::storage>(data));
    }

    /// Repeats the elements until M are full.
    template <unsigned M>
    vector<T, M> grow_replicate() const {
        vector<T, M> grown;
        for (unsigned i = 0; i < M / N; ++i)
            grown.insert(i, *this);
        return grown;
    }
};

template <unsigned N, typename T>
inline vector<std::remove_const_t<T>, N> load_v(const T *address) {
    vector<std::remove_const_t<T>, N> loaded;
    detail::check_alignment(address, sizeof loaded.data);
    std::memcpy(&loaded.data, address, sizeof loaded.data);
    return loaded;
}

template <typename T, unsigned N>
inline void store_v(T *address, const vector<T, N> &value) {
    detail::check_alignment(address, sizeof value.data);
    std::memcpy(address, &value.data, sizeof value.data);
}

template <typename T, unsigned N>
inline vector<T, N> broadcast(T value) {
    return vector<T, N>(detail::splat<detail::lane<T>, N>(detail::bits_as<detail::lane<T>>(value)));
}

template <typename T, unsigned N>
inline vector<T, N> zeros() {
    return vector<T, N>();
}

template <typename T, unsigned N, typename... Rest>
inline auto concat(const vector<T, N> &first, const Rest &...rest) {
    vector<T, N *(1 + sizeof...(Rest))> joined;
    joined.insert(0, first);
    unsigned index = 0;
    (joined.insert(++index, rest), ...);
    return joined;
}

namespace detail {

template <unsigned N, unsigned Chunk, unsigned Phase>
struct unzip_index {
    static constexpr std::size_t at(std::size_t i) { return (i / Chunk * 2 + Phase) * Chunk + i % Chunk; }
};

template <unsigned N, unsigned Chunk, unsigned Half>
struct zip_index {
    static constexpr std::size_t at(std::size_t i) {
        const std::size_t place = Half * N + i;
        return place / Chunk % 2 * N + place / (2 * Chunk) * Chunk + place % Chunk;
    }
};

template <unsigned Rows, unsigned Columns>
struct transpose_index {
    static constexpr std::size_t at(std::size_t i) { return i % Rows * Columns + i / Rows; }
};

/// The chunk sizes that a core has instructions for are powers of two; each is its own instance here.
template <unsigned N, typename Run>
inline auto with_chunk(unsigned chunk, Run run) {
    switch (chunk) {
    case 1: return run(std::integral_constant<unsigned, 1>{});
    case 2: return run(std::integral_constant<unsigned, 2 <= N ? 2 : N>{});
    case 4: return run(std::integral_constant<unsigned, 4 <= N ? 4 : N>{});
    case 8: return run(std::integral_constant<unsigned, 8 <= N ? 8 : N>{});
    default: assert(chunk == 16); return run(std::integral_constant<unsigned, 16 <= N ? 16 : N>{});
    }
}

} // namespace detail

/// Even and odd chunks of `chunk` elements of `a` followed by `b`.
template <typename T, unsigned N>
inline std::pair<vector<T, N>, vector<T, N>> interleave_unzip(const vector<T, N> &a, const vector<T, N> &b, unsigned chunk) {
    using L = typename vector<T, N>::lane;
    return detail::with_chunk<N>(chunk, [&](auto c) {
        return std::pair(vector<T, N>(detail::gather<detail::unzip_index<N, c, 0>, L, N, N>(a.data, b.data)),
                         vector<T, N>(detail::gather<detail::unzip_index<N, c, 1>, L, N, N>(a.data, b.data)));
    });
}

/// Chunks of `chunk` elements alternating from `a` and `b`: lower and upper half.
template <typename T, unsigned N>
inline std::pair<vector<T, N>, vector<T, N>> interleave_zip(const vector<T, N> &a, const vector<T, N> &b, unsigned chunk) {
    using L = typename vector<T, N>::lane;
    return detail::with_chunk<N>(chunk, [&](auto c) {
        return std::pair(vector<T, N>(detail::gather<detail::zip_index<N, c, 0>, L, N, N>(a.data, b.data)),
                         vector<T, N>(detail::gather<detail::zip_index<N, c, 1>, L, N, N>(a.data, b.data)));
    });
}

template <typename T, unsigned N>
inline vector<T, N / 2> filter_even(const vector<T, N> &v) {
    using L = typename vector<T, N>::lane;
    return vector<T, N / 2>(detail::gather<detail::unzip_index<N, 1, 0>, L, N / 2, N>(v.data, v.data));
}

template <typename T, unsigned N>
inline vector<T, N / 2> filter_odd(const vector<T, N> &v) {
    using L = typename vector<T, N>::lane;
    return vector<T, N / 2>(detail::gather<detail::unzip_index<N, 1, 1>, L, N / 2, N>(v.data, v.data));
}

/// A row-major `rows`×`columns` matrix turned over.
template <typename T, unsigned N>
inline vector<T, N> transpose(const vector<T, N> &v, unsigned rows, unsigned columns) {
    using L = typename vector<T, N>::lane;
    assert(rows * columns == N);
    switch (rows) {
    case 4: return vector<T, N>(detail::gather<detail::transpose_index<4, N / 4>, L, N, N>(v.data, v.data));
    default: assert(rows == 8); return vector<T, N>(detail::gather<detail::transpose_index<8, N / 8>, L, N, N>(v.data, v.data));
    }
}

} // namespace aie
