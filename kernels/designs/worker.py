"""What each core of the `encoder` overlay does, for ever: the emitter of its loop. Needs mlir-aie; see encoder.py.

In band: the first B object of an output tile holds its parameters (kernel number, counts, scale, bias), so that one
program serves every operation and no launch writes a core's memory. The steps are those of the emulator's worker
(`npu-backend/src/emulator/array/worker.rs`).
"""

import sys
from typing import Dict, List

import numpy as np
from aie.dialects import vector
from aie.dialects.aie import LockAction, external_func, use_lock
from aie.extras import types as T
from aie.extras.dialects import arith
from aie.extras.dialects.memref import load, store
from aie.dialects.memref import ViewOp
from aie.helpers.dialects.scf import else_, if_
from aie.iron.controlflow import range_

import overlay

OPS = {"gemm_bf16": 1, "gemm_i8_i32": 2, "gemm_i8_bf16": 3, "gemm_i8_i8": 4, "attention_bf16": 5, "attention_i8": 6}
WORD_OP, WORD_FLAGS, WORD_STEPS, WORD_VALID, WORD_SCALE = 1, 2, 3, 4, 5
FLAG_RESIDUAL, FLAG_IDLE = 2, 4
OBJECT = 4096
LANES = 16  # words of a vector of 64 bytes


def bytes_of(count: int):
    return np.ndarray[(count,), np.dtype[np.int8]]


def declare(ops: List[str], object_file: str) -> Dict[str, external_func]:
    """The C++ tile functions that `ops` need, with the types of their pointers and scalars."""
    obj, acc, c, s = (bytes_of(size) for size in (OBJECT, 16384, overlay.C_OBJECT, overlay.SCORES_BYTES))
    ml, params, i32, f32 = bytes_of(512), bytes_of(1024), np.int32, np.float32
    state = {"attention_begin": [acc, ml]}
    i8_step = {"zero_acc": [acc], "gemm_i8_step2": [obj, obj, obj, obj, acc]}
    functions = {
        "gemm_bf16": {
            "zero_acc": [acc],
            "gemm_bf16_step2": [obj, obj, obj, obj, acc],
            "finish_bf16": [acc, params, c],
            "finish_bf16_residual": [acc, params, obj, obj, c],
        },
        "gemm_i8_i32": {**i8_step, "finish_i8_i32": [acc, i32, c]},
        "gemm_i8_bf16": {**i8_step, "finish_i8_bf16": [acc, params, obj, c]},
        "gemm_i8_i8": {**i8_step, "finish_i8_i8": [acc, params, i32, c]},
        "attention_bf16": {
            **state,
            "attention_scores": [c, obj, s],
            "attention_softmax": [s, ml, acc, i32, i32, f32],
            "attention_values": [s, obj, acc],
            "attention_end": [acc, ml, c],
        },
        "attention_i8": {
            **state,
            "attention_i8_scores": [obj, obj, obj, obj, i32, s],
            "attention_i8_softmax": [s, ml, acc, i32, i32, i32, f32],
            "attention_i8_values": [s, obj, i32, acc],
            "attention_i8_end": [acc, ml, params, c],
        },
    }
    wanted = {name: types for op in ops for name, types in functions[op].items()}
    return {name: external_func(name, inputs=list(types), link_with=object_file) for name, types in wanted.items()}


class Worker:
    """Emits the loop of one core. `buffers` and `locks` are the core's, by the names of overlay.py."""

    def __init__(self, column: int, cols: int, ops: List[str], buffers: dict, locks: dict, functions: dict):
        self.column, self.cols, self.ops = column, cols, ops
        self.buffers, self.locks, self.call = buffers, locks, functions

    def emit(self) -> None:
        for _ in range_(sys.maxsize):
            parameters = self.take("b")
            self.copy(parameters, self.words(self.buffers["params"], 0, 1024), 0, 1024)
            self.give("b")
            words = self.words(self.buffers["params"], 0, 1024)
            op, self.flags = load(words, [index(WORD_OP)]), load(words, [index(WORD_FLAGS)])
            self.steps = arith.index_cast(load(words, [index(WORD_STEPS)]), to=T.index())
            self.valid = load(words, [index(WORD_VALID)])
            floats = self.view(self.buffers["params"], index(0), T.memref(256, T.f32()))
            self.scale = load(floats, [index(WORD_SCALE)])
            for name in self.ops:
                with if_(equal(op, OPS[name]), hasElse=False):
                    getattr(self, name)()

    # Products.

    def accumulate(self, step: str) -> None:
        """Two objects of each side a turn; their number is a multiple of four."""
        self.call["zero_acc"](self.buffers["acc"])
        for _ in range_(0, self.steps, 2):
            objects = [self.take(side) for side in "aabb"]
            self.call[step](*objects, self.buffers["acc"])
            for side in "aabb":
                self.give(side)

    def gemm_bf16(self) -> None:
        acc, params, c = self.buffers["acc"], self.buffers["params"], self.buffers["c"]
        self.accumulate("gemm_bf16_step2")
        self.acquire("c_free")
        with if_(has(self.flags, FLAG_RESIDUAL)) as residual:
            self.own_pair(lambda left, right: self.call["finish_bf16_residual"](acc, params, left, right, c))
        with else_(residual):
            self.call["finish_bf16"](acc, params, c)
        self.send()

    def gemm_i8_i32(self) -> None:
        self.accumulate("gemm_i8_step2")
        for half in (0, 1):
            self.acquire("c_free")
            self.call["finish_i8_i32"](self.buffers["acc"], i32(half), self.buffers["c"])
            self.send()

    def gemm_i8_bf16(self) -> None:
        self.accumulate("gemm_i8_step2")
        scales = self.take("a")
        self.acquire("c_free")
        self.call["finish_i8_bf16"](self.buffers["acc"], self.buffers["params"], scales, self.buffers["c"])
        self.give("a")
        self.skip(0, 3)  # the rest of the memtile's object is padding
        self.send()

    def gemm_i8_i8(self) -> None:
        """Two tiles fill one object: the first takes the buffer, the second sends it."""
        self.accumulate("gemm_i8_step2")
        turns = self.words(self.buffers["turns"], 0, 64)
        half = load(turns, [index(2)])
        with if_(equal(half, 0), hasElse=False):
            self.acquire("c_free")
        self.call["finish_i8_i8"](self.buffers["acc"], self.buffers["params"], half, self.buffers["c"])
        with if_(equal(half, 1), hasElse=False):
            self.send()
        store(arith.xori(half, i32(1)), turns, [index(2)])

    # Attention. Q stays in the C buffer until the output overwrites it.

    def attention_bf16(self) -> None:
        c, s, acc, ml = self.buffers["c"], self.scores(), self.buffers["acc"], self.buffers["ml"]
        self.acquire("c_free")

        def keep(left, right) -> None:
            self.copy(left, self.words(c, 0, overlay.C_OBJECT), 0, OBJECT)
            self.copy(right, self.words(c, 0, overlay.C_OBJECT), OBJECT, OBJECT)

        self.own_pair(keep, hold_last=True)
        self.call["attention_begin"](acc, ml)
        for block in range_(self.steps):
            key = arith.index_cast(arith.muli(block, index(32)), to=T.i32())
            self.call["attention_scores"](c, self.take("b"), s)
            self.give("b")
            self.call["attention_softmax"](s, ml, acc, key, self.valid, self.scale)
            self.call["attention_values"](s, self.take("b"), acc)
            self.give("b")
        self.call["attention_end"](acc, ml, c)
        self.give_scores()
        self.send()

    def attention_i8(self) -> None:
        c, s, acc, ml = self.buffers["c"], self.scores(), self.buffers["acc"], self.buffers["ml"]
        self.acquire("c_free")
        for number, at in enumerate((0, OBJECT)):  # the head's Q, then its rows' scales
            first, end = number * self.cols, 2 * self.cols
            self.skip(first, first + self.column, end - 2)
            self.copy(self.take("a"), self.words(c, 0, overlay.C_OBJECT), at, OBJECT)
            self.pass_on(first + self.column, end - 2)
            self.skip(first + self.column + 1, first + self.cols, end - 2)
        q, q_scales = self.object(c, index(0)), self.object(c, index(OBJECT))
        self.call["attention_begin"](acc, ml)
        for block in range_(self.steps):
            key = arith.index_cast(arith.muli(block, index(64)), to=T.i32())
            k, v, scales = (self.take("b") for _ in range(3))
            for half in (0, 1):
                self.call["attention_i8_scores"](q, q_scales, k, scales, i32(half), s)
                self.call["attention_i8_softmax"](s, ml, acc, key, i32(half), self.valid, self.scale)
                self.call["attention_i8_values"](s, v, i32(half), acc)
            for _ in range(3):
                self.give("b")
        self.call["attention_i8_end"](acc, ml, self.buffers["params"], c)
        self.give_scores()
        self.send()

    # Objects of the two inputs: rings that the DMA fills in turn.

    def take(self, side: str):
        """The next object of a side. What is taken is given back in the same order."""
        self.acquire(f"{side}_full")
        depth = {"a": overlay.CORE_A_DEPTH, "b": overlay.CORE_B_DEPTH}[side]
        turns, slot = self.words(self.buffers["turns"], 0, 64), index("ab".index(side))
        turn = load(turns, [slot])
        store(arith.andi(arith.addi(turn, i32(1)), i32(depth - 1)), turns, [slot])
        return self.object(self.buffers[side], arith.index_cast(arith.muli(turn, i32(OBJECT)), to=T.index()))

    def give(self, side: str) -> None:
        use_lock(self.locks[f"{side}_free"], LockAction.Release, value=1)

    def pass_on(self, number: int, held: int) -> None:
        """Gives object `number` of A back, unless it is from `held` on."""
        if number < held:
            self.give("a")

    def skip(self, first: int, end: int, held: int = sys.maxsize) -> None:
        """Objects `first` to `end` of A go by; those from `held` on stay where they are."""
        passing = min(end, held) - first
        if passing > 0:
            for _ in range_(passing):
                self.take("a")
                self.give("a")
        for _ in range(max(first, held), end):
            self.take("a")

    def own_pair(self, use, hold_last: bool = False) -> None:
        """Of 2 * cols objects on A, those of this column (two, next to each other) to `use`; the others pass. With
        `hold_last` the last two objects' slots are not given back: see `scores`."""
        end, own = 2 * self.cols, 2 * self.column
        held = end - 2 if hold_last else end
        self.skip(0, own, held)
        left, right = self.take("a"), self.take("a")
        use(left, right)
        self.pass_on(own, held)
        self.pass_on(own + 1, held)
        self.skip(own + 2, end, held)

    def scores(self):
        """Slots 2 and 3 of A's ring, to be written between taking the last queries and `give_scores`."""
        return self.view(self.buffers["a"], index(overlay.SCORES_AT), T.memref(overlay.SCORES_BYTES, T.i8()))

    def give_scores(self) -> None:
        self.give("a")
        self.give("a")

    # C.

    def acquire(self, name: str) -> None:
        use_lock(self.locks[name], LockAction.AcquireGreaterEqual, value=1)

    def send(self) -> None:
        """Gives C to the DMA; a column without work sends zeros."""
        with if_(has(self.flags, FLAG_IDLE), hasElse=False):
            zeros = arith.constant(np.zeros(LANES, np.int32), T.vector(LANES, T.i32()))
            words = self.words(self.buffers["c"], 0, overlay.C_OBJECT)
            for at in range_(0, overlay.C_OBJECT // 4, LANES):
                vector.store(zeros, words, [at])
        use_lock(self.locks["c_full"], LockAction.Release, value=1)

    # Memory.

    def view(self, buffer, shift, kind):
        return ViewOp(kind, buffer, shift, []).result

    def object(self, buffer, shift):
        return self.view(buffer, shift, T.memref(OBJECT, T.i8()))

    def words(self, buffer, at: int, count: int):
        return self.view(buffer, index(at), T.memref(count // 4, T.i32()))

    def copy(self, source, target, at: int, count: int) -> None:
        """`count` bytes of an object (memref of bytes) into `target` (memref of words) from byte `at`."""
        words = self.words(source, 0, OBJECT)
        for word in range_(0, count // 4, LANES):
            lanes = vector.load(T.vector(LANES, T.i32()), words, [word])
            vector.store(lanes, target, [arith.addi(word, index(at // 4))])


def index(value: int):
    return arith.constant(value, index=True)


def i32(value: int):
    return arith.constant(value, type=T.i32())


def equal(value, constant: int):
    return arith.cmpi("eq", value, i32(constant))


def has(flags, bit: int):
    return arith.cmpi("ne", arith.andi(flags, i32(bit)), i32(0))
