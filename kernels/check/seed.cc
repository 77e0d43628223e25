// The compatibility kernels, bit for bit, against the integer arithmetic that their sources describe.

#include "check.h"

namespace {

int clamped(int value) { return value > 127 ? 127 : value < -128 ? -128 : value; }

void matmul(unsigned seed, int low, int high) {
    const auto a = random_bytes(16, 16, seed, low, high), b = random_bytes(16, 16, seed + 1, low, high);
    Local<int8, 512> input;
    std::memcpy(input.data, a.data.data(), 256);
    std::memcpy(input.data + 256, b.data.data(), 256);
    std::vector<int32> sums(256), twice(256);
    std::vector<int8> narrow(256);
    for (unsigned row = 0; row < 16; ++row)
        for (unsigned column = 0; column < 16; ++column) {
            int32 sum = 0;
            for (unsigned i = 0; i < 16; ++i)
                sum += int32(a.at(row, i)) * b.at(i, column);
            sums[row * 16 + column] = sum;
            twice[row * 16 + column] = 2 * sum;
            narrow[row * 16 + column] = int8(clamped(sum >> 7));
        }
    Local<int32, 256> wide;
    matmul_16x16_i32(input, wide);
    expect_equal("16x16 product in int32", std::vector<int32>(wide.data, wide.data + 256), sums);
    matmul_16x16_acc_i32(input, wide);
    expect_equal("16x16 product added in place", std::vector<int32>(wide.data, wide.data + 256), twice);
    Local<int8, 256> c;
    matmul_16x16_i8(input, c);
    expect_equal("16x16 product in int8", std::vector<int8>(c.data, c.data + 256), narrow);
}

void attention(unsigned seed, int spread, int shift) {
    const auto qkv = random_bytes(192, 64, seed, -spread, spread);
    const auto at = [&](unsigned part, unsigned row, unsigned d) { return int(qkv.at(part * 64 + row, d)); };
    std::vector<int8> want(4096);
    for (unsigned row = 0; row < 64; ++row) {
        int score[64], largest = INT32_MIN;
        for (unsigned key = 0; key < 64; ++key) {
            int sum = 0;
            for (unsigned d = 0; d < 64; ++d)
                sum += at(0, row, d) * at(1, key, d);
            score[key] = sum >> shift;
            largest = std::max(largest, score[key]);
        }
        int64_t exponential[64], sum = 0;
        for (unsigned key = 0; key < 64; ++key) {
            const int step = std::max((score[key] - largest) >> 8, -127);
            exponential[key] = std::max<int64_t>(1, int64_t(std::floor(0x1p20 * std::exp(double(step)))));
            sum += exponential[key];
        }
        for (unsigned d = 0; d < 64; ++d) {
            int weighted = 0;
            for (unsigned key = 0; key < 64; ++key) {
                const int64_t weight = (exponential[key] >> 10) * 127 / std::max<int64_t>(1, sum >> 10);
                weighted += int(std::min<int64_t>(127, weight)) * at(2, key, d);
            }
            want[row * 64 + d] = int8(clamped((weighted + (weighted >= 0 ? 64 : -64)) >> 7));
        }
    }
    Local<int8, 12288> input;
    std::memcpy(input.data, qkv.data.data(), 12288);
    Local<int8, 4096> c;
    attention_64x64_i8(input, c, shift);
    expect_equal("64x64 attention in int8", std::vector<int8>(c.data, c.data + 4096), want);
}

} // namespace

void check_seed() {
    matmul(801, -128, 127);
    matmul(803, -128, -128);
    matmul(805, -8, 8);
    for (int shift : {0, 3, 4}) {
        attention(811, 127, shift);
        attention(813, 30, shift);
        attention(815, 3, shift);
    }
}
