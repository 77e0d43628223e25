// Epilogues against their formulas in f64, and bit for bit where they only add.

#include "check.h"

namespace {

constexpr uint32 GELU = 1, RESIDUAL = 2, IDLE = 4;

std::vector<float> random_floats(unsigned count, unsigned seed, double deviation) {
    Random random(seed);
    std::vector<float> values(count);
    for (auto &x : values)
        x = float(random.normal(deviation));
    return values;
}

std::vector<int32> random_ints(unsigned seed) {
    Random random(seed);
    std::vector<int32> values(4096);
    for (auto &x : values)
        x = random.integer(-200000, 200000);
    return values;
}

std::vector<float> as_floats(const std::vector<bfloat16> &brains) { return {brains.begin(), brains.end()}; }

/// GELU's own error (gelu.h): of what is taken from max(y, 0), which is at most 0.17.
double gelu_error(double y) { return 1.2e-3 * std::fmax(std::fabs(std::fmin(exact_gelu(y), 0.17)), 1.0 / 256); }

/// What gelu adds to an argument's error: its slope is at most 1.13.
double finished(double y, double error, bool with_gelu, double &bound) {
    const double result = with_gelu ? exact_gelu(y) : y;
    const double before = with_gelu ? 1.13 * error + gelu_error(y) : error;
    bound = before + (BRAIN_UNIT + F32_UNIT) * (std::fabs(result) + before);
    return result;
}

void bfloat16_epilogue(uint32 flags) {
    const auto acc_rows = random_floats(4096, 31 + flags, 2), bias = random_floats(64, 37, 1);
    const auto residual = random_brains(64, 64, 41, 2);
    Local<float, 4096> acc;
    pack_acc(acc_rows, 4, acc.data);
    Parameters parameters(flags);
    for (unsigned i = 0; i < 64; ++i)
        parameters.set_bias(i, bias[i]);
    Local<bfloat16, 2048> left, right;
    pack_a(residual, 0, left.data);
    pack_a(residual, 32, right.data);
    Local<bfloat16, 4096> c;
    if ((flags & RESIDUAL) != 0)
        finish_bf16_residual(acc, parameters.words, left, right, c);
    else
        finish_bf16(acc, parameters.words, c);
    const auto got = as_floats(unpack_c(c.data));
    std::vector<double> want(4096), bound(4096);
    std::vector<float> exactly(4096);
    for (unsigned i = 0; i < 4096; ++i) {
        const float y = acc_rows[i] + bias[i % 64];
        const float rest = (flags & RESIDUAL) != 0 ? float(residual.data[i]) : 0.0f;
        exactly[i] = bfloat16(y + rest);
        const bool with_gelu = (flags & GELU) != 0;
        want[i] = (with_gelu ? exact_gelu(y) : double(y)) + rest;
        const double before = with_gelu ? gelu_error(y) + 2 * F32_UNIT * std::fabs(want[i]) : F32_UNIT * std::fabs(want[i]);
        bound[i] = before + BRAIN_UNIT * (std::fabs(want[i]) + before);
    }
    expect_close("bfloat16 epilogue", got, want, bound);
    if ((flags & GELU) == 0)
        expect_equal("bfloat16 epilogue rounds to nearest even", got, exactly);
    record(got, bound);
}

void int8_to_bfloat16(uint32 flags) {
    const auto acc_rows = random_ints(51);
    const auto bias = random_floats(64, 53, 1), columns = random_floats(64, 55, 0.003), rows = random_floats(64, 57, 0.01);
    Local<int32, 4096> acc;
    pack_acc(acc_rows, 8, acc.data);
    Parameters parameters(flags);
    Local<float, 1024> scales; // poisoned but for the first word of each row
    for (unsigned i = 0; i < 64; ++i) {
        parameters.set_bias(i, bias[i]);
        parameters.set_column_scale(i, columns[i]);
        scales[i * 4] = rows[i];
    }
    Local<bfloat16, 4096> c;
    finish_i8_bf16(acc, parameters.words, scales, c);
    const auto got = as_floats(unpack_c(c.data));
    std::vector<double> want(4096), bound(4096);
    for (unsigned i = 0; i < 4096; ++i) {
        const double product = double(acc_rows[i]) * rows[i / 64] * columns[i % 64], y = product + bias[i % 64];
        want[i] = finished(y, 2 * PAIR * std::fabs(product) + F32_UNIT * (std::fabs(y) + std::fabs(product)),
                           (flags & GELU) != 0, bound[i]);
    }
    expect_close("int8 epilogue to bfloat16", got, want, bound);
    record(got, bound);
}

void int8_as_int32() {
    const auto acc_rows = random_ints(61);
    Local<int32, 4096> acc;
    pack_acc(acc_rows, 8, acc.data);
    for (int32 half = 0; half < 2; ++half) {
        Local<int32, 2048> c;
        finish_i8_i32(acc, half, c);
        std::vector<int32> want(2048);
        for (unsigned row = 0; row < 64; ++row)
            for (unsigned i = 0; i < 32; ++i)
                want[row * 32 + i] = acc_rows[row * 64 + unsigned(half) * 32 + i];
        expect_equal("half of an int32 tile", unpack_c(c.data), want);
    }
}

void int8_requantised(uint32 flags) {
    const auto bias = random_floats(64, 73, 1), columns = random_floats(64, 75, 0.0001);
    const float scale = 9.0f; // some results saturate
    Parameters parameters(flags, scale);
    for (unsigned i = 0; i < 64; ++i) {
        parameters.set_bias(i, bias[i]);
        parameters.set_column_scale(i, columns[i]);
    }
    Local<int8, 8192> c;
    std::vector<double> want(8192), bound(8192);
    for (unsigned half = 0; half < 2; ++half) {
        const auto acc_rows = random_ints(71 + half);
        Local<int32, 4096> acc;
        pack_acc(acc_rows, 8, acc.data);
        finish_i8_i8(acc, parameters.words, int32(half), c);
        for (unsigned i = 0; i < 4096; ++i) {
            const double product = double(acc_rows[i]) * columns[i % 64], y = product + bias[i % 64];
            const double result = (flags & GELU) != 0 ? exact_gelu(y) : y;
            const double before = 2 * PAIR * (std::fabs(product) + std::fabs(y)) + ((flags & GELU) != 0 ? gelu_error(y) : 0);
            const double level = result * scale, slack = scale * before + 2 * PAIR * std::fabs(level);
            const unsigned place = i / 64 * 128 + half * 64 + i % 64;
            want[place] = std::fmax(-128, std::fmin(127, std::nearbyint(level)));
            // A level within the error of a half may go either way.
            const double to_half = std::fabs(level - std::floor(level) - 0.5);
            bound[place] = to_half <= slack ? 1 : 0;
        }
    }
    expect_close("requantised int8", unpack_c(c.data), want, bound);
    unsigned undecided = 0;
    for (double b : bound)
        undecided += b > 0;
    expect(undecided < 8192 / 20, "few levels are too near a half to be decided");
}

void idle_columns_write_zeros() {
    Parameters parameters(IDLE | GELU);
    Local<float, 4096> acc; // poison
    Local<int32, 4096> sums;
    Local<float, 1024> object;
    Local<uint32, 2048> c[4];
    finish_bf16(acc, parameters.words, c[0]);
    finish_bf16_residual(acc, parameters.words, object, object, c[1]);
    finish_i8_bf16(sums, parameters.words, object, c[2]);
    finish_i8_i8(sums, parameters.words, 0, c[3]);
    finish_i8_i8(sums, parameters.words, 1, c[3]);
    for (auto &object_of_zeros : c)
        for (uint32 word : object_of_zeros.data)
            if (word != 0)
                return expect(false, "an idle column writes zeros");
}

} // namespace

void check_finish() {
    for (uint32 flags : {0u, GELU, RESIDUAL, GELU | RESIDUAL})
        bfloat16_epilogue(flags);
    int8_to_bfloat16(0);
    int8_to_bfloat16(GELU);
    int8_as_int32();
    int8_requantised(0);
    int8_requantised(GELU);
    idle_columns_write_zeros();
}
