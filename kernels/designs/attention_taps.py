"""What one launch of an attention moves, as data. See taps.py for the channels and their objects."""

from dataclasses import dataclass
from typing import Optional, Tuple

from program import A_OBJECT_ROW, B_OBJECT, BLOCK_ROWS, C_ROW, CORE_ROWS, HEAD, HEAD_BYTES, INT8_KEY_BLOCK, KEY_BLOCK
from program import ROWS, Drain, Program, Segment, Tap, Unplannable, ceil_div


@dataclass(frozen=True)
class Attention:
    """softmax(Q Kt / 8) V for heads of 64, bf16, over rows [q | k | v] of one buffer.

    A group is `cols` heads, one a column. For each block of 256 query rows the parameters, K and V are fetched again
    (replay 1): parameters and K|V lie in different arguments, and a replay keeps one segment, not an order of two.
    `params` holds two objects: one for columns with work, and one that says IDLE for columns beyond the last head. Those
    read the last head's K and V, and their zeros land in output columns beyond the last head: rows of the output hold
    groups * cols heads.
    """

    frames: int
    heads: int
    cols: int = 4
    rows: Optional[int] = None  # queries, where they are a part of the frames
    stride: Optional[int] = None
    q_offset: int = 0
    k_offset: Optional[int] = None
    v_offset: Optional[int] = None
    out_stride: Optional[int] = None
    out_offset: int = 0
    arguments: Tuple[int, int, int] = (0, 1, 2)  # q|k|v, parameters, output

    @property
    def groups(self) -> int:
        return ceil_div(self.heads, self.cols)

    @property
    def key_blocks(self) -> int:
        return ceil_div(self.frames, KEY_BLOCK)

    @property
    def query_blocks(self) -> int:
        return ceil_div(self.frames if self.rows is None else self.rows, BLOCK_ROWS)


def attention(t: Attention) -> Program:
    """The program of one attention."""
    if min(t.frames, t.heads, t.query_blocks) < 1 or t.cols not in (4, 8):
        raise Unplannable(f"{t.frames} frames, {t.heads} heads, {t.cols} columns (4 or 8)")
    width = t.heads * HEAD_BYTES
    stride = 3 * width if t.stride is None else t.stride
    k_offset = t.q_offset + width if t.k_offset is None else t.k_offset
    v_offset = t.q_offset + 2 * width if t.v_offset is None else t.v_offset
    out_row = t.groups * t.cols * HEAD_BYTES
    out_stride = out_row if t.out_stride is None else t.out_stride
    if t.q_offset % stride + out_row > stride or out_stride < out_row:
        raise Unplannable(f"{t.groups} groups of {t.cols} heads read and write {out_row} bytes of a row; it is shorter")
    if v_offset < k_offset:
        raise Unplannable("V lies before K: one tap walks both, forward")
    arg_qkv, arg_params, arg_out = t.arguments
    group_bytes = t.cols * HEAD_BYTES
    p = Program(t.cols, tiles=t.groups * t.query_blocks, takes=(2 * t.cols, 1 + 2 * t.key_blocks))
    tile = 0
    for group in range(t.groups):
        for block in range(t.query_blocks):
            for j in range(t.cols):
                column = group * t.cols + j
                head = min(column, t.heads - 1)
                params = Tap.of(arg_params, 0 if column < t.heads else B_OBJECT, B_OBJECT)
                keys = Tap.of(
                    arg_qkv,
                    k_offset + head * HEAD_BYTES,
                    HEAD_BYTES,
                    (t.key_blocks, KEY_BLOCK * stride),
                    (2, v_offset - k_offset),
                    (KEY_BLOCK, stride),
                )
                p.segments += [Segment("B", j, tap, 1, tile, tile) for tap in (params, keys)]
            for i in range(ROWS):
                offset = t.q_offset + (block * BLOCK_ROWS + i * CORE_ROWS) * stride + group * group_bytes
                loops = ((group_bytes // A_OBJECT_ROW, A_OBJECT_ROW), (CORE_ROWS, stride))
                p.segments.append(Segment("A", i, Tap.of(arg_qkv, offset, A_OBJECT_ROW, *loops), 1, tile, tile))
            for j in range(t.cols):
                offset = t.out_offset + block * BLOCK_ROWS * out_stride + (group * t.cols + j) * HEAD_BYTES
                p.drains.append(Drain(j, Tap.of(arg_out, offset, C_ROW, (BLOCK_ROWS, out_stride)), tile))
            tile += 1
    return p


@dataclass(frozen=True)
class Int8Attention:
    """Attention in int8, over operands that the host packed in the order of the streams.

    A row of queries: for each group of `cols` heads 64 bytes a head, then 64 bytes a head whose first four are the row's
    scale. Keys: parameters for idle columns, then for each head its parameters and, for each 64 keys, an object of K, one
    of V and one of K's scales.
    """

    frames: int
    heads: int
    cols: int = 4
    out_stride: Optional[int] = None
    out_offset: int = 0
    arguments: Tuple[int, int, int] = (0, 1, 2)  # queries, keys, output

    @property
    def groups(self) -> int:
        return ceil_div(self.heads, self.cols)

    @property
    def blocks_bytes(self) -> int:
        return 3 * ceil_div(self.frames, INT8_KEY_BLOCK) * B_OBJECT

    @property
    def query_row(self) -> int:
        return self.groups * self.cols * 2 * HEAD


def int8_attention(t: Int8Attention) -> Program:
    """The program of one attention in int8."""
    if min(t.frames, t.heads) < 1 or t.cols not in (4, 8):
        raise Unplannable(f"{t.frames} frames, {t.heads} heads, {t.cols} columns (4 or 8)")
    out_row = t.groups * t.cols * HEAD_BYTES
    out_stride = out_row if t.out_stride is None else t.out_stride
    if out_stride < out_row:
        raise Unplannable(f"{t.groups} groups of {t.cols} heads write {out_row} bytes of a row; it is shorter")
    arg_q, arg_k, arg_out = t.arguments
    group_bytes = t.cols * 2 * HEAD
    blocks = ceil_div(t.frames, BLOCK_ROWS)
    p = Program(t.cols, tiles=t.groups * blocks, takes=(2 * t.cols, 1 + t.blocks_bytes // B_OBJECT))
    for tile in range(p.tiles):
        group, block = divmod(tile, blocks)
        for j in range(t.cols):
            column = group * t.cols + j
            begin = B_OBJECT + min(column, t.heads - 1) * (B_OBJECT + t.blocks_bytes)
            params = Tap.of(arg_k, begin if column < t.heads else 0, B_OBJECT)
            keys = Tap.of(arg_k, begin + B_OBJECT, t.blocks_bytes)
            p.segments += [Segment("B", j, tap, 1, tile, tile) for tap in (params, keys)]
            offset = t.out_offset + block * BLOCK_ROWS * out_stride + column * HEAD_BYTES
            p.drains.append(Drain(j, Tap.of(arg_out, offset, C_ROW, (BLOCK_ROWS, out_stride)), tile))
        for i in range(ROWS):
            offset = (block * BLOCK_ROWS + i * CORE_ROWS) * t.query_row + group * group_bytes
            loops = ((group_bytes // A_OBJECT_ROW, A_OBJECT_ROW), (CORE_ROWS, t.query_row))
            p.segments.append(Segment("A", i, Tap.of(arg_q, offset, A_OBJECT_ROW, *loops), 1, tile, tile))
    return p
