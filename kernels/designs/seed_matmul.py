#!/usr/bin/env python3
"""The seed's 16x16 int8 product, A then B in one buffer of 512 bytes, as MLIR. See seed.py for what was checked."""

import argparse
import sys

from seed import DEVICES, Call, print_module

CALLS = {
    "matmul_16x16_i8": Call("matmul_16x16_i8", 512, 256),
    "matmul_16x16_i32": Call("matmul_16x16_i32", 512, 1024),
    "matmul_16x16_acc_i32": Call("matmul_16x16_acc_i32", 512, 1024, accumulates=True),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=tuple(DEVICES), required=True)
    parser.add_argument("function", choices=tuple(CALLS))
    arguments = parser.parse_args()
    sys.exit(print_module(arguments.arch, CALLS[arguments.function]))
