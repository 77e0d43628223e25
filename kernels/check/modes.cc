// Rounding modes, saturation, bfloat16 narrowing, and the device's multiply-accumulate, against tables and integers.

#include "check.h"

#include <thread>

namespace {

using aie::rounding_mode;
using aie::saturation_mode;

struct Row {
    rounding_mode mode;
    /// Of −2.5, −1.75, −1.5, −1.25, −0.5, 0.5, 1.25, 1.5, 1.75, 2.5
    int rounded[10];
};

constexpr Row TABLE[] = {
    {rounding_mode::floor, {-3, -2, -2, -2, -1, 0, 1, 1, 1, 2}},
    {rounding_mode::ceil, {-2, -1, -1, -1, 0, 1, 2, 2, 2, 3}},
    {rounding_mode::symmetric_floor, {-2, -1, -1, -1, 0, 0, 1, 1, 1, 2}},
    {rounding_mode::symmetric_ceil, {-3, -2, -2, -2, -1, 1, 2, 2, 2, 3}},
    {rounding_mode::negative_inf, {-3, -2, -2, -1, -1, 0, 1, 1, 2, 2}},
    {rounding_mode::positive_inf, {-2, -2, -1, -1, 0, 1, 1, 2, 2, 3}},
    {rounding_mode::symmetric_zero, {-2, -2, -1, -1, 0, 0, 1, 1, 2, 2}},
    {rounding_mode::symmetric_inf, {-3, -2, -2, -1, -1, 1, 1, 2, 2, 3}},
    {rounding_mode::conv_even, {-2, -2, -2, -1, 0, 0, 1, 2, 2, 2}},
    {rounding_mode::conv_odd, {-3, -2, -1, -1, -1, 1, 1, 1, 2, 3}},
};
constexpr int QUARTERS[10] = {-10, -7, -6, -5, -2, 2, 5, 6, 7, 10};

void rounding_of_integers_and_brains() {
    for (const Row &row : TABLE) {
        aie::set_rounding(row.mode);
        aie::set_saturation(saturation_mode::saturate);
        aie::accum<acc32, 16> quarters;
        // 0x3f80 is 1; a bfloat16 unit at 1 … 2 is 2^-7: value v of the table is ±(1 + (|v| + 4)·2^-7), patterns apart by one.
        aie::accum<accfloat, 16> floats;
        for (unsigned i = 0; i < 10; ++i) {
            quarters.data[i] = QUARTERS[i];
            floats.data[i] = std::copysign(1.0f + (std::fabs(QUARTERS[i] / 4.0f) + 4) / 128, static_cast<float>(QUARTERS[i]));
        }
        const auto integers = quarters.to_vector<int8>(2);
        const auto brains = floats.to_vector<bfloat16>();
        std::vector<int> got, got_brain, want, want_brain;
        for (unsigned i = 0; i < 10; ++i) {
            got.push_back(integers.get(i));
            want.push_back(row.rounded[i]);
            // Even and odd patterns are even and odd numbers of the table: 4 is even.
            const int pattern = brains.get(i).bits & 0x7fff;
            got_brain.push_back(pattern - 0x3f80 - 4);
            want_brain.push_back(std::abs(row.rounded[i]));
        }
        expect_equal("integers by the rounding table", got, want);
        expect_equal("bfloat16 by the rounding table", got_brain, want_brain);
    }
}

void saturation_and_wrap() {
    aie::set_rounding(rounding_mode::floor);
    const int32 values[] = {127, 128, -128, -129, 300, -300, 0, 255};
    const struct {
        saturation_mode mode;
        std::vector<int> want;
    } cases[] = {
        {saturation_mode::none, {127, -128, -128, 127, 44, -44, 0, -1}},
        {saturation_mode::saturate, {127, 127, -128, -128, 127, -128, 0, 127}},
        {saturation_mode::symmetric, {127, 127, -127, -127, 127, -127, 0, 127}},
    };
    for (const auto &c : cases) {
        aie::set_saturation(c.mode);
        aie::accum<acc32, 16> acc;
        for (unsigned i = 0; i < 8; ++i)
            acc.data[i] = values[i];
        const auto narrow = acc.to_vector<int8>();
        std::vector<int> got;
        for (unsigned i = 0; i < 8; ++i)
            got.push_back(narrow.get(i));
        expect_equal("narrowing int32 to int8", got, c.want);
    }
}

void power_up_and_thread() {
    aie::set_rounding(rounding_mode::conv_even);
    aie::set_saturation(saturation_mode::saturate);
    std::thread([] {
        expect(aie::get_rounding() == rounding_mode::floor, "a core powers up rounding to floor");
        expect(aie::get_saturation() == saturation_mode::none, "a core powers up wrapping");
    }).join();
    expect(aie::get_rounding() == rounding_mode::conv_even, "another core does not change this one's mode");
}

void brains_keep_what_is_special() {
    for (const Row &row : TABLE) {
        aie::set_rounding(row.mode);
        bool same = true, not_numbers = true;
        for (uint32 high = 0; high < 0x10000; high += 16) {
            aie::accum<accfloat, 16> acc;
            aie::accum<accfloat, 16> noisy;
            for (uint32 i = 0; i < 16; ++i) {
                acc.data[i] = aie::detail::bits_as<float>((high + i) << 16);
                noisy.data[i] = aie::detail::bits_as<float>(0x7f800001u | (high + i) << 16);
            }
            const auto back = acc.to_vector<bfloat16>();
            const auto nans = noisy.to_vector<bfloat16>();
            for (uint32 i = 0; i < 16; ++i) {
                const bool nan = ((high + i) & 0x7fff) > 0x7f80;
                same &= nan ? std::isnan(float(back.get(i))) : back.get(i).bits == high + i;
                not_numbers &= std::isnan(float(nans.get(i)));
            }
        }
        expect(same, "every bfloat16 survives narrowing");
        expect(not_numbers, "NaN stays NaN");
    }
}

/// The measured rule in integers: nine terms on the grid 2^-23 below the largest exponent, ties to even, summed exactly.
float by_integers(float sum, const bfloat16 (&a)[8], const bfloat16 (&b)[8]) {
    double terms[9] = {sum};
    int top = -100000;
    for (unsigned i = 0; i < 8; ++i)
        terms[i + 1] = double(float(a[i])) * double(float(b[i]));
    for (double t : terms)
        if (t != 0)
            top = std::max(top, std::ilogb(t));
    if (top == -100000)
        return 0;
    int64_t total = 0;
    for (double t : terms) {
        const double scaled = std::ldexp(t, 23 - top), whole = std::floor(scaled), rest = scaled - whole;
        int64_t units = static_cast<int64_t>(whole);
        units += rest > 0.5 || (rest == 0.5 && units % 2 != 0);
        total += units;
    }
    return static_cast<float>(std::ldexp(static_cast<double>(total), top - 23));
}

void device_accumulation() {
    Random random(7);
    std::vector<float> got, want;
    for (unsigned trial = 0; trial < 2000; ++trial) {
        Local<bfloat16, 32> a, b;
        Local<float, 16> c;
        for (unsigned i = 0; i < 32; ++i) {
            a[i] = bfloat16(float(std::ldexp(random.normal(), random.integer(-12, 12))));
            b[i] = bfloat16(float(std::ldexp(random.normal(), random.integer(-12, 12))));
        }
        for (unsigned i = 0; i < 16; ++i)
            c[i] = float(std::ldexp(random.normal(), random.integer(-12, 12)));
        aie::mmul<4, 8, 4, bfloat16, bfloat16> block(aie::load_v<16>(c.data));
        block.mac(aie::load_v<32>(a.data), aie::load_v<32>(b.data));
        const auto result = block.to_vector<float>();
        for (unsigned r = 0; r < 4; ++r)
            for (unsigned t = 0; t < 4; ++t) {
                bfloat16 row[8], column[8];
                for (unsigned s = 0; s < 8; ++s) {
                    row[s] = a[r * 8 + s];
                    column[s] = b[s * 4 + t];
                }
                got.push_back(result.get(r * 4 + t));
                want.push_back(by_integers(c[r * 4 + t], row, column));
            }
    }
    expect_equal("vmac.f against its rule in integers", got, want);

    // A one beside 2^30 and −2^30 is lost, though the large terms cancel.
    Local<bfloat16, 32> a, b;
    std::memset(static_cast<void *>(a.data), 0, sizeof a.data);
    std::memset(static_cast<void *>(b.data), 0, sizeof b.data);
    const float terms[3] = {0x1p30f, -0x1p30f, 1};
    for (unsigned i = 0; i < 3; ++i) {
        a[i] = bfloat16(terms[i]);
        b[i * 4] = bfloat16(1.0f);
    }
    aie::mmul<4, 8, 4, bfloat16, bfloat16> block;
    block.mac(aie::load_v<32>(a.data), aie::load_v<32>(b.data));
    expect(block.to_vector<float>().get(0) == 0, "2^30 − 2^30 + 1 is 0 on the device");
}

} // namespace

void check_modes() {
    rounding_of_integers_and_brains();
    saturation_and_wrap();
    power_up_and_thread();
    brains_keep_what_is_special();
    if (aie_host_exact() != 0)
        device_accumulation();
}
