// 64×64 int8 attention of one head with the buffers of Unicorn-Commander/Unicorn-Amanuensis (attention_64x64.mlir): one
// input of 12288 bytes, Q, K, V row-major, one output of 4096; and with its integer arithmetic, bit for bit:
//
//   score  = (Q·Kᵀ) >> shift
//   e      = E[min((largest − score) / 256 rounded up, 127)],  E[i] = max(1, ⌊2^20 · e^−i⌋)
//   weight = min(127, (e >> 10) · 127 / max(1, Σe >> 10)), rounded down
//   out    = clamp((Σ weight · V ± 64) >> 7), + for a sum ≥ 0

#include "layout.h"

namespace {

constexpr unsigned SIZE = 64;

/// E; from the fourteenth on, one.
constexpr unsigned LAST = 14;
constexpr uint32 EXPONENTIAL[LAST + 1] = {1048576, 385749, 141909, 52205, 19205, 7065, 2599, 956,
                                          351,     129,    47,     17,    6,     2,    1};

/// Rows row … row + 4 of a row-major 64×64 matrix, columns column … column + 16.
inline aie::vector<int8, 64> four_rows_of(const int8 *matrix, unsigned row, unsigned column) {
    const int8 *at = matrix + row * SIZE + column;
    return aie::concat(aie::load_v<16>(at), aie::load_v<16>(at + SIZE), aie::load_v<16>(at + 2 * SIZE),
                       aie::load_v<16>(at + 3 * SIZE));
}

/// Scores of four query rows: int32 [4][64].
inline void scores_of(const int8 *q, const int8 *k, unsigned row, int32 *scores) {
    for (unsigned key = 0; key < SIZE; key += 8) {
        aie::mmul<4, 16, 8, int8, int8> dot;
        for (unsigned d = 0; d < SIZE; d += 16) {
            const auto keys = aie::concat(four_rows_of(k, key, d), four_rows_of(k, key + 4, d));
            dot.mac(four_rows_of(q, row, d), aie::transpose(keys, 8, 16));
        }
        const auto block = dot.to_vector<int32>();
        for (unsigned r = 0; r < 4; ++r)
            aie::store_v(scores + r * SIZE + key, block.extract<8>(r));
    }
}

/// Weights of one query row. The same few exponentials recur: their quotients are computed once.
inline void softmax(const int32 *scores, int32 shift, int8 *weights) {
    int32 largest = scores[0] >> shift;
    for (unsigned i = 1; i < SIZE; ++i)
        largest = (scores[i] >> shift) > largest ? (scores[i] >> shift) : largest;
    uint8 distance[SIZE];
    uint32 sum = 0;
    for (unsigned i = 0; i < SIZE; ++i) {
        const int32 down = -(((scores[i] >> shift) - largest) >> 8);
        distance[i] = static_cast<uint8>(down < static_cast<int32>(LAST) ? down : LAST);
        sum += EXPONENTIAL[distance[i]];
    }
    const uint32 divisor = sum >> 10 != 0 ? sum >> 10 : 1;
    int8 weight_at[LAST + 1];
    for (unsigned i = 0; i <= LAST; ++i) {
        const uint32 weight = (EXPONENTIAL[i] >> 10) * 127 / divisor;
        weight_at[i] = static_cast<int8>(weight > 127 ? 127 : weight);
    }
    for (unsigned i = 0; i < SIZE; ++i)
        weights[i] = weight_at[distance[i]];
}

} // namespace

extern "C" {

void attention_64x64_i8(LOCAL(const int8) qkv, LOCAL(int8) out, int32 shift) {
    const int8 *q = qkv, *k = qkv + SIZE * SIZE, *v = qkv + 2 * SIZE * SIZE;
    alignas(64) int32 scores[4 * SIZE];
    alignas(64) int8 weights[4 * SIZE];
    for (unsigned row = 0; row < SIZE; row += 4) {
        scores_of(q, k, row, scores);
        for (unsigned r = 0; r < 4; ++r)
            softmax(scores + r * SIZE, shift, weights + r * SIZE);
        for (unsigned d = 0; d < SIZE; d += 16) {
            aie::mmul<4, 16, 8, int8, int8> left, right;
            for (unsigned key = 0; key < SIZE; key += 16) {
                const auto p = four_rows_of(weights, 0, key);
                const auto upper = aie::concat(four_rows_of(v, key, d), four_rows_of(v, key + 4, d));
                const auto lower = aie::concat(four_rows_of(v, key + 8, d), four_rows_of(v, key + 12, d));
                const auto [b_left, b_right] = aie::interleave_unzip(upper, lower, 8);
                left.mac(p, b_left);
                right.mac(p, b_right);
            }
            const auto [top, bottom] = aie::interleave_zip(left.to_vector<int32>(), right.to_vector<int32>(), 8);
            alignas(64) int32 sums[4 * 16];
            aie::store_v(sums, top);
            aie::store_v(sums + 32, bottom);
            for (unsigned i = 0; i < 64; ++i) {
                const int32 rounded = (sums[i] + (sums[i] >= 0 ? 64 : -64)) >> 7;
                out[(row + i / 16) * SIZE + d + i % 16] =
                    static_cast<int8>(rounded > 127 ? 127 : rounded < -128 ? -128 : rounded);
            }
        }
    }
}

} // extern "C"
