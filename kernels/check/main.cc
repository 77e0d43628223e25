// Runs every check of the tile code; writes the recorded results to the file named by the argument. Exit status: failures.

#include "check.h"

int main(int count, char **arguments) {
    expect(aie_host_abi() == 2, "the ABI's version is 2");
    expect(aie_host_exact() == AIE_HOST_EXACT, "the functions were built with the arithmetic of the checks");
    check_modes();
    check_functions();
    check_gemm();
    check_finish();
    check_attention();
    check_attention_i8();
    check_seed();
    if (count > 1) {
        std::FILE *file = std::fopen(arguments[1], "wb");
        const bool written = file != nullptr && std::fwrite(recorded.data(), 4, recorded.size(), file) == recorded.size();
        expect(written && std::fclose(file) == 0, "the recorded results are written");
    }
    return failures > 100 ? 100 : failures;
}
