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
    for (int i = -126 * 1000; i <= 100 * 1000; ++i)
        t.push_back(0.001f * float(i));
    double worst = 0;
    for (float x : t) {
        const double f = std::fabs(double(x) - std::nearbyint(double(x))), power = std::exp2(double(x) - std::nearbyint(double(x)));
        want.push_back(std::exp2(double(x)));
        // exp2.h: the polynomial, then f and the two factors as one bfloat16 each.
        const double relative = 1.04e-4 + 0.69315 * std::fmin(BRAIN_UNIT * f, 0x1p-10) + (0x1p-10 * f * f + 0x1p-9 * f) / power;
        worst = std::fmax(worst, relative);
        bound.push_back(want.back() * (relative + 4 * F32_UNIT));
    }
    sweep("2^t", exp2_of, t, want, bound);
    expect(worst < 2.6e-3, "2^t is off by less than two thirds of half a unit of a bfloat16");

    // Integers make exact powers; what has no exponent is 0, not an alias, and right above it at most that.
    std::vector<float> whole, end;
    for (int i = -126; i <= 127; ++i)
        whole.push_back(float(i));
    for (float far : {-127.0f, -127.5f, -128.0f, -142.0f, -143.0f, -382.5f, -1000.0f, -1.0e30f, -3.0e38f, -INFINITY})
        whole.push_back(far);
    for (float x : whole)
        end.push_back(x <= -127 ? 0.0f : std::exp2(x));
    sweep("2^t of integers", exp2_of, whole, {end.begin(), end.end()}, std::vector<double>(end.size(), 0.0));
    std::vector<float> edge;
    for (int i = 0; i < 1000; ++i)
        edge.push_back(-127.0f + 0.001f * float(i));
    sweep("2^t between -127 and -126", exp2_of, edge, std::vector<double>(1000, 0.0), std::vector<double>(1000, 0x1p-126));
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
