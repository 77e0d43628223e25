// Flash attention in int8 against weights 2^(scale · Q·Kᵀ) in f64 on the values that the int8 stand for.

#include "check.h"

namespace {

/// 64 keys as DDR holds them, rows of 64 bytes, after the memtile's reorder for B.
void pack_keys(const Matrix<int8> &m, unsigned first, int8 *object) { reorder_b(&m.at(first, 0), object); }

void head(unsigned padded, unsigned valid, unsigned seed, double correlation, float scale = 0.18033688f) {
    const auto q = random_bytes(64, 64, seed);
    auto k = random_bytes(padded, 64, seed + 1), v = random_bytes(padded, 64, seed + 2);
    Random random(seed + 3);
    std::vector<float> q_scale(64), k_scale(padded), v_scale(64);
    for (auto *scales : {&q_scale, &k_scale, &v_scale})
        for (float &x : *scales)
            x = 0.012f * (1 + 0.5f * std::fabs(float(random.normal())));
    

    Local<int8, 4096> queries;
    pack_a(q, 0, queries.data);
    Local<float, 1024> q_scales;
    Parameters parameters(0, scale);
    for (unsigned i = 0; i < 64; ++i) {
        q_scales[i * 4] = q_scale[i];
        parameters.set_column_scale(i, v_scale[i]);
    }
    Local<float, 2048> s;
    Local<float, 4096> o;
    Local<float, 128> ml;
    Local<bfloat16, 4096> c;
    attention_begin(o, ml);
    for (unsigned key = 0; key < padded; key += 64) {
        Local<int8, 4096> keys, values;
        Local<float, 1024> k_scales;
        pack_keys(k, key, keys.data);
        pack_keys(v, key, values.data);
        for (unsigned i = 0; i < 64; ++i)
            k_scales[i] = k_scale[key + i];
        for (int32 half = 0; half < 2; ++half) {
            attention_i8_scores(queries, q_scales, keys, k_scales, half, s);
            attention_i8_softmax(s, ml, o, int32(key), half, int32(valid), scale);
            attention_i8_values(s, values, half, o);
        }
    }
    attention_i8_end(o, ml, parameters.words, c);

    const auto brains = unpack_c(c.data);
    const std::vector<float> got(brains.begin(), brains.end());
    std::vector<double> want(4096), bound(4096);
    double both = 0, mine = 0, theirs = 0;
    for (unsigned row = 0; row < 64; ++row) {
        std::vector<double> t(valid);
        double largest = -INFINITY, exponent = 0;
        for (unsigned key = 0; key < valid; ++key) {
            int32 sum = 0;
            for (unsigned d = 0; d < 64; ++d)
                sum += int32(q.at(row, d)) * k.at(key, d);
            t[key] = double(sum) * q_scale[row] * k_scale[key] * scale;
            largest = std::max(largest, t[key]);
            exponent = std::max(exponent, std::fabs(t[key]));
        }
        // A level of P is 2^(m − 8), m the integer above the largest score so far, half of 64 keys (32 in a row) at a time.
        std::vector<double> step(valid);
        double passing = -INFINITY, total = 0;
        for (unsigned first = 0; first < valid; first += 32) {
            const unsigned end = std::min(valid, first + 32);
            for (unsigned key = first; key < end; ++key)
                passing = std::max(passing, t[key]);
            const double m = std::floor(passing + 1.001);
            for (unsigned key = first; key < end; ++key)
                // Half a level, a whole one at the top, where 256 is 255.
                step[key] = (t[key] > m - 0.01 ? 1 : 0.5) * std::exp2(m - 8 - largest);
        }
        for (double &x : t)
            total += x = std::exp2(x - largest);
        for (unsigned d = 0; d < 64; ++d) {
            double sum = 0, magnitude = 0, rounding = 0;
            for (unsigned key = 0; key < valid; ++key) {
                const double value = double(v.at(key, d)) * v_scale[d];
                sum += t[key] * value;
                magnitude += t[key] * std::fabs(value);
                // Half a step of each weight, in the numerator and, times the mean, in the denominator.
                rounding += step[key] * (std::fabs(value) + 127 * 0.04);
            }
            const unsigned i = row * 64 + d;
            want[i] = valid == 0 ? 0 : sum / total;
            // Besides: 2^t, and the scales' products (3 pairs on exponents of at most a few tens).
            const double weights = 2 * (2.6e-3 + 0.6932 * 3 * PAIR * exponent);
            const double before = valid == 0 ? 0 : rounding / total + weights * magnitude / total;
            bound[i] = 1.1 * before + (BRAIN_UNIT + 5 * PAIR) * (std::fabs(want[i]) + before);
            both += got[i] * want[i];
            mine += got[i] * double(got[i]);
            theirs += want[i] * want[i];
        }
    }
    char what[80];
    std::snprintf(what, sizeof what, "int8 attention of %u keys, %u valid", padded, valid);
    expect_close(what, got, want, bound);
    if (valid > 0)
        expect(both / std::sqrt(mine * theirs) >= correlation, "int8 attention correlates with f64");
    record(got, bound);
}

} // namespace

void check_attention_i8() {
    for (unsigned valid : {0u, 1u, 2u, 15u, 16u, 17u, 33u, 63u, 64u, 65u, 100u, 128u})
        head(128, valid, 500 + valid, 0.999);
    head(128, 100, 800, 0.999, 1);
    // Random keys over a whole window: the mean weight is a few of 255 levels, and V's mean is near nothing.
    head(1536, 1500, 700, 0.9985);
}
