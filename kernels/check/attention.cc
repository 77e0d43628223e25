// Flash attention in bfloat16 against weights 2^(scale · Q·Kᵀ) in f64.

#include "check.h"

namespace {

struct Expected {
    std::vector<double> value, bound;
};

/// Reference and bound: weights 2^(scale · q·k). Every weight is off by its rounding to bfloat16, by 2^t (exp2.h: 2.6e-3)
/// and by what moves its exponent t: the score's sum, the scaling's product if there is one, and the difference t − m.
/// (Where a row's m grows, what it has summed moves by an exact power of two.) Numerator and denominator hold the same
/// weights: the mean of V moves by at most twice their relative error.
Expected expected(const Matrix<bfloat16> &q, const Matrix<bfloat16> &k, const Matrix<bfloat16> &v, unsigned valid, double scale) {
    Expected e{std::vector<double>(4096), std::vector<double>(4096)};
    for (unsigned row = 0; row < 64; ++row) {
        std::vector<double> t(valid);
        double largest = -INFINITY, exponent_error = 0;
        for (unsigned key = 0; key < valid; ++key) {
            double sum = 0, magnitude = 0;
            for (unsigned d = 0; d < 64; ++d) {
                const double product = double(float(q.at(row, d))) * float(k.at(key, d));
                sum += product;
                magnitude += std::fabs(product);
            }
            t[key] = sum * scale;
            largest = std::max(largest, t[key]);
            const double scaling = scale == 1 ? 0 : PAIR * std::fabs(t[key]);
            exponent_error = std::max(exponent_error, scale * sum_bound(64, magnitude) + scaling + 2 * F32_UNIT * std::fabs(t[key]));
        }
        double total = 0;
        for (double &x : t)
            total += x = std::exp2(x - largest);
        const double relative = BRAIN_UNIT + 2.6e-3 + 0.6932 * exponent_error;
        for (unsigned d = 0; d < 64; ++d) {
            double sum = 0, magnitude = 0;
            for (unsigned key = 0; key < valid; ++key) {
                sum += t[key] * float(v.at(key, d));
                magnitude += t[key] * std::fabs(float(v.at(key, d)));
            }
            const double mean = valid == 0 ? 0 : sum / total;
            e.value[row * 64 + d] = mean;
            const double before = valid == 0 ? 0 : 2 * relative * magnitude / total + sum_bound(valid, magnitude / total);
            e.bound[row * 64 + d] = before + (BRAIN_UNIT + 4 * PAIR) * (std::fabs(mean) + before);
        }
    }
    return e;
}

/// How the keys lie: as they come, or each longer than the one before, so that the maxima grow on and on.
enum class Keys { MIXED, GROWING };

void head(unsigned padded, unsigned valid, unsigned seed, double deviation, float scale, Keys order = Keys::MIXED) {
    const auto q = random_brains(64, 64, seed, deviation);
    auto k = random_brains(padded, 64, seed + 1, deviation), v = random_brains(padded, 64, seed + 2);
    if (order == Keys::GROWING)
        for (unsigned key = 0; key < padded; ++key)
            for (unsigned d = 0; d < 64; ++d)
                k.at(key, d) = bfloat16(float(q.at(key % 64, d)) * float(key) / float(padded));
    // What lies in padding must not matter, be it large.
    for (unsigned key = valid; key < padded; ++key)
        for (unsigned d = 0; d < 64; ++d) {
            k.at(key, d) = bfloat16(100.0f);
            v.at(key, d) = bfloat16(1.0e4f);
        }
    Local<bfloat16, 4096> queries, c;
    pack_a(q, 0, queries.data);
    pack_a(q, 32, queries.data + 2048);
    Local<float, 2048> s;
    Local<float, 4096> o;
    Local<float, 128> ml;
    attention_begin(o, ml);
    for (unsigned key = 0; key < padded; key += 32) {
        Local<bfloat16, 2048> keys, values;
        pack_b(k, key, keys.data);
        pack_b(v, key, values.data);
        attention_scores(queries, keys, s);
        attention_softmax(s, ml, o, int32(key), int32(valid), scale);
        attention_values(s, values, o);
    }
    attention_end(o, ml, c);
    const auto brains = unpack_c(c.data);
    const std::vector<float> got(brains.begin(), brains.end());
    const Expected e = expected(q, k, v, valid, scale);
    char what[96];
    std::snprintf(what, sizeof what, "attention of %u keys, %u valid, deviation %.1f, scale %.3f", padded, valid, deviation,
                  double(scale));
    expect_close(what, got, e.value, e.bound);
    record(got, e.bound);

    double both = 0, mine = 0, theirs = 0;
    for (unsigned i = 0; i < 4096; ++i) {
        both += got[i] * e.value[i];
        mine += got[i] * double(got[i]);
        theirs += e.value[i] * e.value[i];
    }
    if (valid > 0)
        expect(both / std::sqrt(mine * theirs) >= 0.9999, "attention correlates with f64 to 0.9999");
}

void scores_have_their_layout() {
    const auto q = random_brains(64, 64, 91), k = random_brains(32, 64, 92);
    Local<bfloat16, 4096> queries;
    Local<bfloat16, 2048> keys;
    Local<float, 2048> s;
    pack_a(q, 0, queries.data);
    pack_a(q, 32, queries.data + 2048);
    pack_b(k, 0, keys.data);
    attention_scores(queries, keys, s);
    std::vector<float> got;
    std::vector<double> want, bound;
    for (unsigned row = 0; row < 64; ++row)
        for (unsigned key = 0; key < 32; ++key) {
            double sum = 0, magnitude = 0;
            for (unsigned d = 0; d < 64; ++d) {
                sum += double(float(q.at(row, d))) * float(k.at(key, d));
                magnitude += std::fabs(double(float(q.at(row, d))) * float(k.at(key, d)));
            }
            got.push_back(s[((row / 4 * 4 + key / 8) * 4 + row % 4) * 8 + key % 8]);
            want.push_back(sum);
            bound.push_back(sum_bound(64, magnitude));
        }
    expect_close("scores", got, want, bound);
}

} // namespace

void check_attention() {
    scores_have_their_layout();
    // log2(e) / √64 as a factor, and folded into what the scores are made of.
    const float plain = 0.18033688f;
    for (unsigned valid : {0u, 1u, 7u, 8u, 31u, 32u, 33u, 70u, 96u}) {
        head(96, valid, 100 + valid, 1, plain);
        head(96, valid, 200 + valid, 0.4, 1);
    }
    // Scores of hundreds, far below every exponent of f32; and a whole window of 30 s.
    head(128, 128, 301, 8, plain);
    head(128, 128, 303, 4, 1);
    head(1536, 1500, 302, 1, plain);
    head(1536, 1500, 304, 0.4, 1);
    // Maxima that exceed m block after block, by less and by more than its headroom.
    head(512, 500, 305, 1, 1, Keys::GROWING);
    head(512, 500, 306, 4, 1, Keys::GROWING);
}
