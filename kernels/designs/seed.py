"""One core a call: buffers move from DDR to L1, a C++ function runs on them, the result moves back. Needs mlir-aie.

The calls of one image stand side by side, one a column, so that they share an xclbin; each has a stream of its own.

The form of the first NPU kernels of Unicorn-Commander/Unicorn-Amanuensis: a launch is one tile of work, and the launch
costs far more than the work. Kept for comparison. Checked as encoder.py is (see there): it runs against recorded calls;
neither aiecc nor silicon has seen it.
"""

import argparse
import sys
from typing import Dict, List

import numpy as np
from aie.dialects.aie import AIEDevice, DMAChannelDir, EndOp, LockAction, WireBundle
from aie.dialects.aie import bds, buffer, core, device, dma_bd, dma_start, external_func, flow, lock, mem, next_bd, tile, use_lock
from aie.dialects.aiex import dma_await_task, dma_configure_task, dma_start_task, runtime_sequence
from aie.extras import types as T
from aie.extras.context import mlir_mod_ctx
from aie.extras.dialects import arith
from aie.iron.controlflow import range_

from seed_calls import Call

DEVICES = {"aie2": "npu1", "aie2p": "npu2"}
STACK_BYTES = 3328


def bytes_of(count: int):
    return np.ndarray[(count,), np.dtype[np.int8]]


def build(arch: str, calls: List[Call], launched: Call) -> None:
    """Emits the cores of all `calls` and the runtime sequence of one into the current MLIR context."""

    @device(getattr(AIEDevice, DEVICES[arch]))
    def seed():
        shims = {call: Core(column, call).emit() for column, call in enumerate(calls)}
        emit_sequence(launched, shims[launched])


class Core:
    """Emits one core with its streams."""

    def __init__(self, column: int, call: Call):
        self.call = call
        self.shim, self.here = tile(column, 0), tile(column, 2)

    def emit(self):
        """The shim that feeds it."""
        call, here = self.call, self.here
        scalar = [] if call.scalar is None else [np.int32]
        types = [bytes_of(call.input_bytes), bytes_of(call.output_bytes), *scalar]
        function = external_func(call.function, inputs=types, link_with="seed.o")
        source = self.buffer("input", call.input_bytes, STACK_BYTES)
        target = self.buffer("output", call.output_bytes, STACK_BYTES + -(-call.input_bytes // 64) * 64)
        # What arrives: (buffer, may be written, is there). The output is free again when the result has left.
        arriving = [(source, self.lock("input_free", 0, 1), self.lock("input_full", 1, 0))]
        if call.accumulates:
            arriving.append((target, self.lock("sum_free", 2, 1), self.lock("sum_full", 3, 0)))
        free = arriving[1][1] if call.accumulates else self.lock("output_free", 4, 1)
        full = self.lock("output_full", 5, 0)
        for n in range(len(arriving)):
            flow(self.shim, WireBundle.DMA, n, here, WireBundle.DMA, n)
        flow(here, WireBundle.DMA, 0, self.shim, WireBundle.DMA, 0)

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

        return self.shim

    def buffer(self, name: str, size: int, address: int):
        return buffer(self.here, bytes_of(size), name=f"{self.call.function}_{name}", address=address)

    def lock(self, name: str, number: int, init: int):
        return lock(self.here, lock_id=number, init=init, sym_name=f"{self.call.function}_{name}")


def emit_sequence(call: Call, shim) -> None:
    """Moves the arguments in, and the result, which is the last argument, out."""
    sizes = [size for _, size in call.arguments()]

    @runtime_sequence(*[bytes_of(size) for size in sizes], sym_name="launch")
    def launch(*memories):
        for n, (memory, size) in enumerate(zip(memories, sizes)):
            result = n == len(sizes) - 1
            direction = DMAChannelDir.S2MM if result else DMAChannelDir.MM2S
            task = dma_configure_task(shim, direction, 0 if result else n, issue_token=result)
            with bds(task) as block:
                with block[0]:
                    dma_bd(memory, offset=0, len=size, bd_id=n)
                    EndOp()
            dma_start_task(task)
        dma_await_task(task)


def main(calls: Dict[str, Call], description: str) -> int:
    """The command of a seed's script: prints the MLIR of one call's launch; 1 if it does not verify."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--arch", choices=tuple(DEVICES), required=True)
    parser.add_argument("function", choices=tuple(calls))
    arguments = parser.parse_args()
    with mlir_mod_ctx() as context:
        build(arguments.arch, list(calls.values()), calls[arguments.function])
        problem = context.module.operation.verify()
        if problem is not True:
            print(problem, file=sys.stderr)
            return 1
        print(context.module)
    return 0
