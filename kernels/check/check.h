// What the checks of the tile code share: failures with the worst element, random operands, and the layouts of tiles
// written down a second time, from their description, so that a wrong kernel cannot agree with itself.
#pragma once

#include <aie_api/aie.hpp>

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

/// Counted; the program's exit status.
inline int failures = 0;

inline void expect(bool holds, const char *what) {
    if (holds)
        return;
    ++failures;
    std::printf("FAILED %s\n", what);
}

/// Every |got − want| ≤ bound; else the element that is worst by its bound. `largest` is the least ratio to the bound seen.
template <typename Got>
inline void expect_close(const char *what, const std::vector<Got> &got, const std::vector<double> &want,
                         const std::vector<double> &bound) {
    std::size_t worst = 0, wrong = 0;
    double worst_ratio = -1;
    for (std::size_t i = 0; i < want.size(); ++i) {
        const double error = std::fabs(static_cast<double>(got[i]) - want[i]);
        const double ratio = bound[i] > 0 ? error / bound[i] : (error == 0 ? 0 : INFINITY);
        wrong += !(error <= bound[i]);
        if (!(ratio <= worst_ratio)) {
            worst_ratio = ratio;
            worst = i;
        }
    }
    if (wrong != 0 || got.size() != want.size()) {
        ++failures;
        std::printf("FAILED %s: %zu of %zu wrong; worst at %zu: got %.9g, want %.9g, bound %.3g\n", what, wrong, want.size(),
                    worst, static_cast<double>(got[worst]), want[worst], bound[worst]);
    }
}

template <typename T>
inline void expect_equal(const char *what, const std::vector<T> &got, const std::vector<T> &want) {
    std::vector<double> wanted(want.begin(), want.end());
    expect_close(what, got, wanted, std::vector<double>(want.size(), 0.0));
}

/// Memory as a core has it: 64-byte aligned, and poisoned, so that what a kernel leaves unwritten shows.
template <typename T, unsigned N>
struct alignas(64) Local {
    T data[N];
    Local() { std::memset(static_cast<void *>(data), 0xA5, sizeof data); }
    operator T *() { return data; }
    operator const T *() const { return data; }
};

class Random {
public:
    explicit Random(unsigned seed) : engine(seed) {}
    double normal(double deviation = 1) { return std::normal_distribution<double>(0, deviation)(engine); }
    int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine); }
    bfloat16 brain(double deviation = 1) { return bfloat16(static_cast<float>(normal(deviation))); }

private:
    std::mt19937 engine;
};

/// Row-major matrix.
template <typename T>
struct Matrix {
    unsigned rows, columns;
    std::vector<T> data;
    Matrix(unsigned r, unsigned c) : rows(r), columns(c), data(r * c) {}
    T &at(unsigned r, unsigned c) { return data[r * columns + c]; }
    const T &at(unsigned r, unsigned c) const { return data[r * columns + c]; }
};

inline Matrix<bfloat16> random_brains(unsigned rows, unsigned columns, unsigned seed, double deviation = 1) {
    Random random(seed);
    Matrix<bfloat16> m(rows, columns);
    for (auto &x : m.data)
        x = random.brain(deviation);
    return m;
}

inline Matrix<int8> random_bytes(unsigned rows, unsigned columns, unsigned seed, int low = -128, int high = 127) {
    Random random(seed);
    Matrix<int8> m(rows, columns);
    for (auto &x : m.data)
        x = static_cast<int8>(random.integer(low, high));
    return m;
}

/// An A object from rows of 64 bytes, columns `first` …: [16-byte column block 4][row group 16][4][16 B].
template <typename T>
inline void pack_a(const Matrix<T> &m, unsigned first, T *object) {
    constexpr unsigned wide = 16 / sizeof(T);
    for (unsigned row = 0; row < 64; ++row)
        for (unsigned i = 0; i < 4 * wide; ++i)
            object[(i / wide * 16 + row / 4) * 4 * wide + row % 4 * wide + i % wide] = m.at(row, first + i);
}

/// A B object as the core sees it, from 32 rows of 128 bytes in DDR: [8 rows 4][8-byte column 16][8 rows][8 B].
inline void reorder_b(const void *rows_of_128, void *object) {
    for (unsigned row = 0; row < 32; ++row)
        for (unsigned byte = 0; byte < 128; ++byte)
            static_cast<unsigned char *>(object)[(row / 8 * 16 + byte / 8) * 64 + row % 8 * 8 + byte % 8] =
                static_cast<const unsigned char *>(rows_of_128)[row * 128 + byte];
}

/// 32 rows of `m` from `first`, 64 columns of bfloat16.
inline void pack_b(const Matrix<bfloat16> &m, unsigned first, bfloat16 *object) { reorder_b(&m.at(first, 0), object); }

/// 64 rows of `m` from `first`: int8 weights, [k/16 4][n/8 8][16][8].
inline void pack_b(const Matrix<int8> &m, unsigned first, int8 *object) {
    for (unsigned k = 0; k < 64; ++k)
        for (unsigned n = 0; n < 64; ++n)
            object[((k / 16 * 8 + n / 8) * 16 + k % 16) * 8 + n % 8] = m.at(first + k, n);
}

/// Rows of 128 bytes from a C object: [row group 16][8-byte column 16][4][8 B].
template <typename T>
inline std::vector<T> unpack_c(const T *object) {
    constexpr unsigned columns = 128 / sizeof(T), wide = 8 / sizeof(T);
    std::vector<T> rows(64 * columns);
    for (unsigned row = 0; row < 64; ++row)
        for (unsigned i = 0; i < columns; ++i)
            rows[row * columns + i] = object[((row / 4 * 16 + i / wide) * 4 + row % 4) * wide + i % wide];
    return rows;
}

/// 64×64 from an accumulator whose blocks are 4 rows by `wide` columns.
template <typename T>
inline std::vector<T> unpack_acc(const T *acc, unsigned wide) {
    std::vector<T> rows(64 * 64);
    for (unsigned row = 0; row < 64; ++row)
        for (unsigned i = 0; i < 64; ++i)
            rows[row * 64 + i] = acc[((row / 4 * (64 / wide) + i / wide) * 4 + row % 4) * wide + i % wide];
    return rows;
}

template <typename T>
inline void pack_acc(const std::vector<T> &rows, unsigned wide, T *acc) {
    for (unsigned row = 0; row < 64; ++row)
        for (unsigned i = 0; i < 64; ++i)
            acc[((row / 4 * (64 / wide) + i / wide) * 4 + row % 4) * wide + i % wide] = rows[row * 64 + i];
}

/// A parameter object.
struct Parameters {
    Local<uint32, 1024> words;
    explicit Parameters(uint32 flags, float scale = 1) {
        std::memset(words.data, 0, sizeof words.data);
        words[0] = 0x584E5057;
        words[2] = flags;
        std::memcpy(&words[5], &scale, 4);
        for (unsigned i = 0; i < 64; ++i)
            set_column_scale(i, 1);
    }
    void set_bias(unsigned column, float value) { std::memcpy(&words[64 + column], &value, 4); }
    void set_column_scale(unsigned column, float value) { std::memcpy(&words[128 + column], &value, 4); }
};

/// Unit roundoff of f32 and of a bfloat16.
inline constexpr double F32_UNIT = 0x1p-24;
inline constexpr double BRAIN_UNIT = 0x1p-8;
/// Of a product of pairs (pair.h), with the rounding of its three additions.
inline constexpr double PAIR = 0x1p-15 + 3 * F32_UNIT;

/// Of a sum of k products in f32 or by the device's instructions of eight: those round nine terms and once more, each by
/// at most one unit of the largest partial sum; f32 rounds once a term. So 10/8 units a term of Σ|a·b|.
inline double sum_bound(unsigned k, double magnitude) { return 1.25 * (k + 8) * F32_UNIT * magnitude; }

inline double exact_gelu(double x) { return 0.5 * x * std::erfc(-x * 0.70710678118654752440); }

/// The tests, in files of the same name.
void check_modes();
void check_gemm();
void check_finish();
void check_functions();
void check_attention();
void check_attention_i8();
void check_seed();

/// Results, each with its bound, that the fast and the exact build are compared by.
inline std::vector<float> recorded;
inline void record(const std::vector<float> &values, const std::vector<double> &bounds) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        recorded.push_back(values[i]);
        recorded.push_back(static_cast<float>(bounds[i]));
    }
}

extern "C" {
void zero_acc(void *);
void gemm_bf16_step2(const void *, const void *, const void *, const void *, float *);
void gemm_i8_step2(const void *, const void *, const void *, const void *, int32 *);
void finish_bf16(const float *, const void *, void *);
void finish_bf16_residual(const float *, const void *, const void *, const void *, void *);
void finish_i8_bf16(const int32 *, const void *, const void *, void *);
void finish_i8_i32(const int32 *, int32, void *);
void finish_i8_i8(const int32 *, const void *, int32, void *);
void attention_begin(float *, float *);
void attention_scores(const void *, const void *, float *);
void attention_softmax(float *, float *, float *, int32, int32, float);
void attention_values(const float *, const void *, float *);
void attention_end(const float *, const float *, void *);
void attention_i8_scores(const void *, const void *, const void *, const void *, int32, float *);
void attention_i8_softmax(float *, float *, float *, int32, int32, int32, float);
void attention_i8_values(const float *, const void *, int32, float *);
void attention_i8_end(const float *, const float *, const void *, void *);
void matmul_16x16_i8(const int8 *, int8 *);
void matmul_16x16_i32(const int8 *, int32 *);
void matmul_16x16_acc_i32(const int8 *, int32 *);
void attention_64x64_i8(const int8 *, int8 *, int32);
int32 aie_host_abi();
int32 aie_host_exact();
}
