// The functions inside the kernels, before any rounding to bfloat16: products of pairs, 2^t, GELU.

#include "../src/exp2.h"
#include "../src/gelu.h"
#include "check.h"

namespace {

template <typename Function>
void sweep(const char *what, Function function, const std::vector<float> &inputs, const std::vector<double> &want,
           const std::vector<double> &bound) {
    round_to_even();
    std::vector<float> got(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); i += 16) {
        Vector x;
        for (unsigned j = 0; j < 16; ++j)
            x.set(inputs[std::min(i + j, inputs.size() - 1)], j);
        const Vector y = function(x);
        for (unsigned j = 0; j < 16 && i + j < inputs.size(); ++j)
            got[i + j] = y.get(j);
    }
    expect_close(what, got, want, bound);
}

void products_of_pairs() {
    Random random(21);
    std::vector<float> a;
    std::vector<double> want, bound;
    const float factor = 1.2345678f;
    for (unsigned i = 0; i < 4000; ++i) {
        a.push_back(float(std::ldexp(random.normal(), random.integer(-20, 20))));
        want.push_back(double(a.back()) * factor);
        bound.push_back(std::fabs(want.back()) * PAIR);
    }
    const auto by_factor = [=](const Vector &x) { return multiply(split(x), split(constant(factor))).to_vector<float>(); };
    sweep("product of pairs", by_factor, a, want, bound);
}

void powers_of_two() {
    std::vector<float> t;
    std::vector<double> want, bound;
    for (int i = 0; i <= 126 * 1000; ++i)
        t.push_back(-0.001f * float(i));
    // Below the smallest exponent: not an alias.
    for (float far : {-126.5f, -142.0f, -143.0f, -1000.0f, -1.0e30f})
        t.push_back(far);
    for (float x : t) {
        want.push_back(std::exp2(std::max(double(x), -126.0)));
        // exp2.h: polynomial, the quadratic as one bfloat16, the cubic without the low half; then two products of pairs.
        bound.push_back(want.back() * (8.31e-5 + 1.9e-4 + 1.9e-5 + 2 * PAIR));
    }
    sweep("2^t", exp2_of, t, want, bound);
}

/// Running error bound of the polynomial of gelu.h at u, computed beside its value in f64.
double gelu_bound(double u) {
    constexpr double c[] = {1.66711832e-5, -3.80224501e-4, 2.75424653e-3, -2.74717741e-3,
                            -3.02056025e-2, -9.20139107e-2, 0.917034195};
    double r = c[0], error = 0;
    for (unsigned i = 1; i < 7; ++i) {
        error = error * u + std::fabs(r * u) * PAIR;
        r = r * u + c[i];
        error += std::fabs(r) * F32_UNIT;
    }
    // Eighth power by three squares, then times u.
    const double relative = 8 * error / r + (1 + 2 + 4 + 1) * PAIR;
    return u * std::pow(r, 8) * relative;
}

void gelu_by_the_error_function() {
    std::vector<float> x;
    std::vector<double> want, bound;
    for (int i = -80000; i <= 80000; ++i)
        x.push_back(0.0001f * float(i));
    for (float far : {-1.0e4f, -50.0f, 50.0f, 1.0e4f})
        x.push_back(far);
    double worst_share = 0, worst_share_of_tail = 0;
    for (float value : x) {
        const double u = std::min(std::fabs(double(value)), 5.5), exact = exact_gelu(value);
        const double h = u * 0.5 * std::erfc(u * 0.70710678118654752440);
        want.push_back(exact);
        bound.push_back(2.64e-4 * h + gelu_bound(u) + (std::fabs(value) > 5.5f ? 1.05e-7 : 0) + F32_UNIT * std::fabs(exact));
        const double share = value == 0 ? 0 : bound.back() / (BRAIN_UNIT * std::fabs(exact));
        if (value > -3)
            worst_share = std::max(worst_share, share);
        if (value > -4.5f)
            worst_share_of_tail = std::max(worst_share_of_tail, share);
    }
    sweep("GELU", gelu, x, want, bound);
    expect(worst_share < 1.0 / 3, "right of -3 GELU's bound is below a third of half a unit of a bfloat16");
    expect(worst_share_of_tail < 1, "right of -4.5 (gelu = -1.5e-5) it is below half a unit");
}

} // namespace

void check_functions() {
    products_of_pairs();
    powers_of_two();
    gelu_by_the_error_function();
}
