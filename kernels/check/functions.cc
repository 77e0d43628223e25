// The functions inside the kernels, before any rounding to bfloat16: products of pairs, 2^t, GELU.

#include "../src/exp2.h"
#include "../src/gelu.h"
#include "check.h"

namespace {

template <typename Function>
std::vector<float> sweep(const char *what, Function function, const std::vector<float> &inputs, const std::vector<double> &want,
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
    return got;
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

/// Half a unit of a bfloat16 next to x, or a little above.
double half_unit_of(double x) { return std::ldexp(1.0, std::ilogb(1.01 * x) - 8); }

/// Relative error of gelu.h's 2^f: its polynomial; the quadratic's factor and the rest of the linear one as one bfloat16;
/// and the rest's argument, f without its low half.
double power_error(double f) {
    const double quadratic = 0.2427654821 + 0.0556640625 * f, rest = 0.0018 + f * quadratic;
    const double low = half_unit_of(f) + 1e-30, slope = quadratic + 0.0556640625 * f;
    return 8.4e-5 + (half_unit_of(quadratic) * f * f + half_unit_of(rest) * std::fabs(f) + slope * std::fabs(f) * low) / std::exp2(f) +
           8 * F32_UNIT;
}

/// The polynomial of gelu.h at u in f64, and h = u·2^t with its bound by running error analysis.
struct Tail {
    double h, bound;
};

Tail tail(double u) {
    constexpr double c0 = -1.000451308299, c1 = -1.1484375 + 0.0035552978515625, c2 = -0.473897753107, c3 = -0.040283203125,
                     c4 = 0.003143310546875;
    const double square = u * u, inner = c2 + c3 * u + c4 * square, t = c0 + c1 * u + square * inner;
    // Pairs leave out 2^-17 of their number, a high part alone 2^-8; products of pairs err by PAIR.
    const double inner_error = c4 * square * (0x1p-17 + PAIR) - c3 * u * 0x1p-17 + 4 * F32_UNIT;
    const double t_error = u * (1.15 * 0x1p-17 + 0.0036 * BRAIN_UNIT) + square * inner_error +
                           std::fabs(square * inner) * 2 * PAIR + 4 * F32_UNIT * std::fabs(t);
    const double f = t - std::nearbyint(t), h = u * std::exp2(t);
    // Near a half f may be rounded either way.
    const double exponential = std::fabs(f) > 0.499 ? std::fmax(power_error(f), power_error(-f)) : power_error(f);
    return {h, h * (0.69315 * t_error + exponential + PAIR)};
}

void gelu_by_the_error_function() {
    std::vector<float> x;
    std::vector<double> want, bound;
    for (int i = -80000; i <= 80000; ++i)
        x.push_back(0.0001f * float(i));
    for (float far : {-1.0e30f, -1.0e4f, -50.0f, 50.0f, 1.0e4f, 1.0e30f, -1.0e-30f, 1.0e-30f})
        x.push_back(far);
    double worst_bound = 0, worst = 0;
    const auto scale = [](double exact) { return std::fmax(std::fabs(exact), 1.0 / 256); };
    for (float value : x) {
        const double u = std::fabs(double(value)), exact = exact_gelu(value);
        const Tail mine = tail(std::fmin(u, 4.85));
        const double h = u * 0.5 * std::erfc(u * 0.70710678118654752440);
        want.push_back(exact);
        bound.push_back(std::fabs(mine.h - h) + mine.bound + F32_UNIT * std::fabs(exact));
        worst_bound = std::fmax(worst_bound, bound.back() / scale(exact));
    }
    const auto got = sweep("GELU", gelu, x, want, bound);
    for (std::size_t i = 0; i < x.size(); ++i)
        worst = std::fmax(worst, std::fabs(got[i] - want[i]) / scale(want[i]));
    expect(worst_bound < 1.2e-3, "GELU's bound is below 1.2e-3 of max(|gelu|, 2^-8)");
    expect(worst < 0x1p-10, "GELU is off by less than 2^-10 of max(|gelu|, 2^-8)");
    expect_equal("GELU of 0", sweep("GELU of 0", gelu, {0.0f, -0.0f}, {0, 0}, {0, 0}), std::vector<float>{0, 0});
}

/// Not a number must come out as one, whatever its sign and payload: as a weight of 0, or as the 0 left of GELU, it would
/// look well.
template <typename Function>
void keeps_nan(const char *what, Function function) {
    round_to_even();
    Vector x = constant(-1.0f);
    const uint32 patterns[] = {0x7FC00000u, 0xFFC00000u, 0x7F800001u, 0xFF800001u, 0x7FFFFFFFu, 0xFFFFFFFFu};
    for (unsigned i = 0; i < 6; ++i)
        x.set(__builtin_bit_cast(float, patterns[i]), 2 * i);
    const Vector y = function(x);
    for (unsigned i = 0; i < 16; ++i)
        expect(std::isnan(y.get(i)) == (i < 12 && i % 2 == 0), what);
}

} // namespace

void check_functions() {
    products_of_pairs();
    powers_of_two();
    gelu_by_the_error_function();
    keeps_nan("2^t keeps what is not a number", exp2_of);
    keeps_nan("GELU keeps what is not a number", gelu);
}
