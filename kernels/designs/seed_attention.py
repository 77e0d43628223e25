#!/usr/bin/env python3
"""The seed's 64x64 int8 attention of one head: Q, K, V in one buffer of 12288 bytes. See seed.py for what was checked."""

import argparse
import sys

from seed import DEVICES, Call, print_module

# 4: the shift of the scores in the seed's design (attention_64x64.mlir).
CALLS = {"attention_64x64_i8": Call("attention_64x64_i8", 12288, 4096, scalar=4)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=tuple(DEVICES), required=True)
    parser.add_argument("function", choices=tuple(CALLS), nargs="?", default="attention_64x64_i8")
    arguments = parser.parse_args()
    sys.exit(print_module(arguments.arch, CALLS[arguments.function]))
