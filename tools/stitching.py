"""Objects over the borders of tiles against those of the whole picture, on thousands of random layouts.

    python tools/stitching.py --layouts 3000

For each way from maps to objects it prints how many layouts differ, which must be none (docs/large.md).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.predicting.large.stitching import KINDS, differing


def main() -> int:
    """Number of layouts that differ, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layouts", type=int, default=1000, help="random layouts of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    bad = 0
    for kind in KINDS:
        start = time.process_time()
        seeds = differing(kind, range(given.first, given.first + given.layouts))
        bad += len(seeds)
        shown = f", the first: {seeds[:5]}" if seeds else ""
        print(
            f"{kind:<14}{given.layouts} layouts, {len(seeds)} differ{shown} ({time.process_time() - start:.0f} CPU s)",
            flush=True,
        )
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
