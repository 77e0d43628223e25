// The loops around mmul: 64 rows times a strip of B, accumulated in a local f32 or int32 tile.
#pragma once

#include "layout.h"

/// Operand types and shapes of one mmul and its B and C blocks in memory.
template <typename Operand>
struct Shape;

template <>
struct Shape<bfloat16> {
    static constexpr unsigned s = 8, t = 4;
    using accumulated = float;
};

template <>
struct Shape<int8> {
    static constexpr unsigned s = 16, t = 8;
    using accumulated = int32;
};

/// Elements `N` of each of the row groups that make one mmul, `stride` elements apart.
template <unsigned N, typename T>
inline auto load_groups(const T *first, unsigned stride) {
    if constexpr (layout::GROUPS_PER_MMUL == 1)
        return aie::load_v<N>(first);
    else
        return aie::concat(aie::load_v<N>(first), aie::load_v<N>(first + stride));
}

template <unsigned N, typename T, unsigned Wide>
inline void store_groups(T *first, unsigned stride, const aie::vector<T, Wide> &value) {
    for (unsigned i = 0; i < Wide / N; ++i)
        aie::store_v(first + i * stride, value.template extract<N>(i));
}

/// acc (64×64) += A (64×(Objects·Steps·s)) · B ((Objects·Steps·s)×64), A and B each in `Objects` pieces along k.
///
/// A: 4×s blocks, `a_step` elements apart along k and `a_group` along the rows. B: [step][column block] of s×t.
/// acc: [row group][column block] of 4×t. `Down` mmuls of rows by `Across` of columns stay in registers: Peano spills
/// from the sixth 1024-bit accumulator on (jdominick05/ignite-xdna:docs/SILICON.md, "Live accumulators").
template <typename Operand, unsigned Steps, unsigned Down, unsigned Across, unsigned Objects>
inline void accumulate_tile(const Operand *const (&a)[Objects], unsigned a_step, unsigned a_group,
                            const Operand *const (&b)[Objects], typename Shape<Operand>::accumulated *acc) {
    using S = Shape<Operand>;
    using C = typename S::accumulated;
    constexpr unsigned per = layout::GROUPS_PER_MMUL;
    using Mmul = aie::mmul<layout::GROUP * per, S::s, S::t, Operand, Operand>;
    constexpr unsigned a_block = layout::GROUP * S::s, b_block = S::s * S::t, c_block = layout::GROUP * S::t;
    constexpr unsigned blocks = layout::COLUMNS / S::t;
    constexpr unsigned c_group = blocks * c_block;

    for (unsigned group = 0; group < layout::GROUPS; group += Down * per) {
        for (unsigned block = 0; block < blocks; block += Across) {
            C *corner = acc + group * c_group + block * c_block;
            Mmul sums[Down][Across];
            for (unsigned i = 0; i < Down; ++i)
                for (unsigned j = 0; j < Across; ++j)
                    sums[i][j] = Mmul(load_groups<c_block>(corner + i * per * c_group + j * c_block, c_group));
            for (unsigned object = 0; object < Objects; ++object) {
                for (unsigned step = 0; step < Steps; ++step) {
                    aie::vector<Operand, a_block * per> left[Down];
                    for (unsigned i = 0; i < Down; ++i)
                        left[i] = load_groups<a_block>(a[object] + step * a_step + (group + i * per) * a_group, a_group);
                    for (unsigned j = 0; j < Across; ++j) {
                        const auto right = aie::load_v<b_block>(b[object] + (step * blocks + block + j) * b_block);
                        for (unsigned i = 0; i < Down; ++i)
                            sums[i][j].mac(left[i], right);
                    }
                }
            }
            for (unsigned i = 0; i < Down; ++i)
                for (unsigned j = 0; j < Across; ++j)
                    store_groups<c_block>(corner + i * per * c_group + j * c_block, c_group,
                                          sums[i][j].template to_vector<C>());
        }
    }
}
