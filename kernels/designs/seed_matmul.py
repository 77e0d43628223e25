#!/usr/bin/env python3
"""The seed's 16x16 int8 product, A then B in one buffer of 512 bytes, as MLIR. See seed.py for what was checked."""

import sys

from seed import main
from seed_calls import IMAGES

if __name__ == "__main__":
    sys.exit(main(IMAGES["seed_matmul"], __doc__))
