// Matrix products of tiles against a naive f64 product (bfloat16) and against integers (int8).

#include "check.h"

namespace {

void bfloat16_product(unsigned k, unsigned seed) {
    const auto a = random_brains(64, k, seed), b = random_brains(k, 64, seed + 1);
    Local<float, 4096> acc;
    zero_acc(acc);
    for (unsigned first = 0; first < k; first += 64) {
        Local<bfloat16, 2048> left[2], right[2];
        for (unsigned i = 0; i < 2; ++i) {
            pack_a(a, first + 32 * i, left[i].data);
            pack_b(b, first + 32 * i, right[i].data);
        }
        gemm_bf16_step2(left[0], left[1], right[0], right[1], acc);
    }
    std::vector<double> want(4096), bound(4096);
    for (unsigned row = 0; row < 64; ++row)
        for (unsigned column = 0; column < 64; ++column) {
            double sum = 0, magnitude = 0;
            for (unsigned i = 0; i < k; ++i) {
                const double product = double(float(a.at(row, i))) * float(b.at(i, column));
                sum += product;
                magnitude += std::fabs(product);
            }
            want[row * 64 + column] = sum;
            bound[row * 64 + column] = sum_bound(k, magnitude);
        }
    const auto got = unpack_acc(acc.data, 4);
    expect_close("bfloat16 product", got, want, bound);
    record(got, bound);
}

void int8_product(unsigned k, unsigned seed, int low, int high) {
    const auto a = random_bytes(64, k, seed, low, high), b = random_bytes(k, 64, seed + 1, low, high);
    Local<int32, 4096> acc;
    zero_acc(acc);
    for (unsigned first = 0; first < k; first += 128) {
        Local<int8, 4096> left[2], right[2];
        for (unsigned i = 0; i < 2; ++i) {
            pack_a(a, first + 64 * i, left[i].data);
            pack_b(b, first + 64 * i, right[i].data);
        }
        gemm_i8_step2(left[0], left[1], right[0], right[1], acc);
    }
    std::vector<int32> want(4096);
    for (unsigned row = 0; row < 64; ++row)
        for (unsigned column = 0; column < 64; ++column)
            for (unsigned i = 0; i < k; ++i)
                want[row * 64 + column] += int32(a.at(row, i)) * b.at(i, column);
    expect_equal("int8 product", unpack_acc(acc.data, 8), want);
}

void int32_wraps() {
    Local<int32, 4096> acc;
    for (auto &x : acc.data)
        x = INT32_MAX;
    Local<int8, 4096> ones;
    for (auto &x : ones.data)
        x = 1;
    gemm_i8_step2(ones, ones, ones, ones, acc);
    expect_equal("int32 accumulators wrap", unpack_acc(acc.data, 8), std::vector<int32>(4096, INT32_MIN + 127));
}

} // namespace

void check_gemm() {
    bfloat16_product(64, 1);
    bfloat16_product(512, 3);
    bfloat16_product(2048, 5);
    int8_product(128, 11, -128, 127);
    int8_product(512, 13, -128, 127);
    int8_product(5120, 15, -128, -128);
    int32_wraps();
}
