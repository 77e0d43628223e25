// What lies where in a core's local memory. The stream side of these layouts is in manifest.toml, section [reorder].
#pragma once

#include <aie_api/aie.hpp>

#include <cstdint>

#if defined(__clang__) || defined(__GNUC__)
#define LOCAL(type) type *__restrict
#else
#define LOCAL(type) type *
#endif

namespace layout {

/// Output tile of a core: 64 rows, 64 columns. Rows come in groups of 4, the r of every mmul shape that is stored.
inline constexpr unsigned ROWS = 64;
inline constexpr unsigned COLUMNS = 64;
inline constexpr unsigned GROUP = 4;
inline constexpr unsigned GROUPS = ROWS / GROUP;

/// Rows per mmul: AIE2P wants 8 to fill its array; two adjacent row groups make one, so the layouts stay those of AIE2.
#if defined(__AIE_ARCH__) && __AIE_ARCH__ == 21
inline constexpr unsigned GROUPS_PER_MMUL = 2;
#else
inline constexpr unsigned GROUPS_PER_MMUL = 1;
#endif

/// A object, 4096 B: [4 column blocks of 16 B][16 row groups][4 rows][16 B].
inline constexpr unsigned A_BYTES = 4096;
/// B object, 4096 B: bf16 [k/8 4][n/4 16][8][4], int8 [k/16 4][n/8 8][16][8].
inline constexpr unsigned B_BYTES = 4096;
/// C object, 8192 B: [16 row groups][16 column blocks of 8 B][4 rows][8 B].
inline constexpr unsigned C_BYTES = 8192;
/// f32: [row group 16][column block 16][4][4]; int32: [row group 16][column block 8][4][8].
inline constexpr unsigned ACC_BYTES = 16384;

/// Column blocks of a tile: 4 wide in bf16 and f32, 8 wide in int8 and int32.
inline constexpr unsigned BLOCKS_F32 = COLUMNS / 4;
inline constexpr unsigned BLOCKS_I32 = COLUMNS / 8;

/// The parameter object: 4096 bytes at the head of each output tile on the B stream.
namespace parameters {
inline constexpr uint32_t MAGIC = 0x584E5057;
inline constexpr uint32_t GELU = 1;
inline constexpr uint32_t RESIDUAL = 2;
inline constexpr uint32_t IDLE = 4;
inline constexpr unsigned FLAGS_WORD = 2;
inline constexpr unsigned SCALE_WORD = 5;
inline constexpr unsigned BIAS_BYTE = 256;
inline constexpr unsigned COLUMN_SCALE_BYTE = 512;

inline uint32_t flags(const void *object) { return static_cast<const uint32_t *>(object)[FLAGS_WORD]; }
inline float scale(const void *object) { return static_cast<const float *>(object)[SCALE_WORD]; }
/// f32[64], one per column of the tile.
inline const float *bias(const void *object) { return static_cast<const float *>(object) + BIAS_BYTE / 4; }
/// f32[64], one per column of the tile.
inline const float *column_scale(const void *object) { return static_cast<const float *>(object) + COLUMN_SCALE_BYTE / 4; }
} // namespace parameters

/// Scales of rows arrive as an A object: the f32 of row r is the first word of the row.
inline float row_scale(const void *object, unsigned row) { return static_cast<const float *>(object)[row * 4]; }

/// Number of row groups times columns: an accumulator tile as 16-element blocks.
template <unsigned N, typename T>
inline void fill_zero(T *start, unsigned elements) {
    for (unsigned i = 0; i < elements; i += N)
        aie::store_v(start + i, aie::zeros<T, N>());
}

} // namespace layout
