"""One core, one call: buffers move from DDR to L1, a C++ function runs on them, the result moves back. Needs mlir-aie.

The form of the first NPU kernels of Unicorn-Commander/Unicorn-Amanuensis: a launch is one tile of work, and the launch
costs far more than the work. Kept for comparison. Checked as encoder.py is (see there): it runs against recorded calls;
neither aiecc nor silicon has seen it.
"""

import sys
from dataclasses import dataclass
from typing import Optional

import numpy as np
from aie.dialects.aie import AIEDevice, DMAChannelDir, EndOp, LockAction, WireBundle
from aie.dialects.aie import bds, buffer, core, device, dma_bd, dma_start, external_func, flow, lock, mem, next_bd, tile, use_lock
from aie.dialects.aiex import dma_await_task, dma_configure_task, dma_start_task, runtime_sequence
from aie.extras import types as T
from aie.extras.context import mlir_mod_ctx
from aie.extras.dialects import arith
from aie.iron.controlflow import range_

DEVICES = {"aie2": "npu1_1col", "aie2p": "npu2_1col"}
STACK_BYTES = 3328


@dataclass(frozen=True)
class Call:
    """`function(input, output[, scalar])`. With `accumulates` the output comes in first, on the second input channel."""

    function: str
    input_bytes: int
    output_bytes: int
    scalar: Optional[int] = None
    accumulates: bool = False


def bytes_of(count: int):
    return np.ndarray[(count,), np.dtype[np.int8]]


def build(arch: str, call: Call) -> None:
    """Emits the module into the current MLIR context."""

    @device(getattr(AIEDevice, DEVICES[arch]))
    def seed():
        shim, here = tile(0, 0), tile(0, 2)
        scalar = [] if call.scalar is None else [np.int32]
        types = [bytes_of(call.input_bytes), bytes_of(call.output_bytes), *scalar]
        function = external_func(call.function, inputs=types, link_with="seed.o")
        inputs = [("input", call.input_bytes)] + ([("sum", call.output_bytes)] if call.accumulates else [])
        source = buffer(here, bytes_of(call.input_bytes), name="input", address=STACK_BYTES)
        at = STACK_BYTES + -(-call.input_bytes // 64) * 64
        target = buffer(here, bytes_of(call.output_bytes), name="output", address=at)
        # What arrives: (buffer, may be written, is there). The output is free again when the result has left.
        arriving = []
        for n, (name, _) in enumerate(inputs):
            locks = [lock(here, lock_id=2 * n + k, init=1 - k, sym_name=f"{name}_{what}") for k, what in enumerate(("free", "full"))]
            arriving.append((source if n == 0 else target, *locks))
            flow(shim, WireBundle.DMA, n, here, WireBundle.DMA, n)
        free = arriving[1][1] if call.accumulates else lock(here, lock_id=4, init=1, sym_name="output_free")
        full = lock(here, lock_id=5, init=0, sym_name="output_full")
        flow(here, WireBundle.DMA, 0, shim, WireBundle.DMA, 0)

        @mem(here)
        def streams(block):
            for n, (memory, empty, there) in enumerate(arriving):
                with block[("start", n) if n else 0]:
                    dma_start(DMAChannelDir.S2MM, n, dest=block["in", n], chain=block["start", n + 1])
                with block["in", n]:
                    use_lock(empty, LockAction.AcquireGreaterEqual, value=1)
                    dma_bd(memory)
                    use_lock(there, LockAction.Release, value=1)
                    next_bd(block["in", n])
            with block["start", len(arriving)]:
                dma_start(DMAChannelDir.MM2S, 0, dest=block["out"], chain=block["end"])
            with block["out"]:
                use_lock(full, LockAction.AcquireGreaterEqual, value=1)
                dma_bd(target)
                use_lock(free, LockAction.Release, value=1)
                next_bd(block["out"])
            with block["end"]:
                EndOp()

        @core(here, stack_size=STACK_BYTES)
        def loop():
            for _ in range_(sys.maxsize):
                for _, _, there in arriving:
                    use_lock(there, LockAction.AcquireGreaterEqual, value=1)
                if not call.accumulates:
                    use_lock(free, LockAction.AcquireGreaterEqual, value=1)
                scalars = [] if call.scalar is None else [arith.constant(call.scalar, type=T.i32())]
                function(source, target, *scalars)
                use_lock(arriving[0][1], LockAction.Release, value=1)
                use_lock(full, LockAction.Release, value=1)

        arguments = [bytes_of(size) for _, size in inputs] + [bytes_of(call.output_bytes)]

        @runtime_sequence(*arguments, sym_name="launch")
        def launch(*memories):
            sizes = [size for _, size in inputs] + [call.output_bytes]
            for n, (memory, size) in enumerate(zip(memories, sizes)):
                result = n == len(inputs)
                direction = DMAChannelDir.S2MM if result else DMAChannelDir.MM2S
                task = dma_configure_task(shim, direction, 0 if result else n, issue_token=result)
                with bds(task) as block:
                    with block[0]:
                        dma_bd(memory, offset=0, len=size, bd_id=n)
                        EndOp()
                dma_start_task(task)
            dma_await_task(task)


def print_module(arch: str, call: Call) -> int:
    """Prints the MLIR; 1 if it does not verify."""
    with mlir_mod_ctx() as context:
        build(arch, call)
        problem = context.module.operation.verify()
        if problem is not True:
            print(problem, file=sys.stderr)
            return 1
        print(context.module)
    return 0
