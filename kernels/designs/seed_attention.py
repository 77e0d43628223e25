#!/usr/bin/env python3
"""The seed's 64x64 int8 attention of one head: Q, K, V in one buffer of 12288 bytes. See seed.py for what was checked."""

import sys

from seed import main
from seed_calls import IMAGES

if __name__ == "__main__":
    sys.exit(main(IMAGES["seed_attention"], __doc__))
