"""What the overlap of the windows, bfloat16 and the layers computed otherwise cost in scores: the starter, validation images.

    python tools/inference_choices.py --data DATA            # all sets and choices; an hour of one core
    python tools/inference_choices.py --data DATA --most 4 --window 128 --sets superalloy --choices "overlap 0.25"
    python tools/inference_choices.py --data DATA --most 2 --crop 256 --choices bfloat16 "plain layers"
    python tools/inference_choices.py --data DATA --most 8 --window 384 --choices "window 768, overlap 0.25"

DATA is the folder of the sets of docs/public-sets.md; pictures are those of
lazylabels_monai.starter.sets.validation_pictures, which the starter did not learn from. Each choice is compared with overlap
0.5 in float32. bfloat16 is forced, also where the processor has to emulate it; "plain layers" are PyTorch's own.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SETS = ("emps", "superalloy", "nuclei_fluo", "powder", "glas", "builtin")
FIRST = "overlap 0.5"
CHOICES = (FIRST, "overlap 0.375", "overlap 0.25", "overlap 0.125", "overlap 0", "bfloat16", "plain layers")
#: Sides of windows and overlaps that "window 512, overlap 0.25" names.
WINDOWS = tuple(f"window {side}, overlap {part}" for side in (256, 384, 512, 768) for part in (0.5, 0.25))
SCORES = ("dice", "f1", "precision", "recall")


def score(
    choice: str, domain: str, data: Path | None, most: int, window: int, crop: int | None, weights: Path | None = None
) -> dict[str, Any]:
    """Scores of the starter (or of other weights with one class), and the seconds of one core that they took."""
    from lazylabels_monai.bundle_folder import find_starter
    from lazylabels_monai.networks.quick import plainly
    from lazylabels_monai.predicting.model import Model
    from lazylabels_monai.starter.scoring import score_model
    from lazylabels_monai.trained import trained_settings

    weights = weights or find_starter()
    given = dict(part.split() for part in choice.split(", ") if part.startswith(("window ", "overlap ")))
    window, overlap = int(given.get("window", window)), float(given.get("overlap", FIRST.split()[1]))
    model = Model(weights, overrides={"device": "cpu", "overlap": overlap, "window_size": [window, window]})
    model.inferer._bfloat16 = choice == "bfloat16"
    start = time.process_time()
    with plainly() if choice == "plain layers" else nullcontext():
        found = score_model(model, trained_settings(weights), domain, data, most, crop)
    return {**found, "seconds": round(time.process_time() - start, 1)}


def table(found: dict[str, dict[str, dict[str, Any]]], choices: list[str]) -> str:
    """Markdown: the scores of the first choice, and how far each other one is from them."""
    lines = ["| set | images | choice | Dice | F1 of objects | interfaces, precision | recall | CPU s |", "|---|" + "---|" * 7]
    for domain, rows in found.items():
        for choice in choices:
            row, first = rows[choice], rows[choices[0]]
            shown = []
            for name in SCORES:
                value, reference = row[name], first[name]
                known = value is not None and reference is not None
                shown.append("" if not known else f"{value:.4f}" if row is first else f"{value - reference:+.4f}")
            lines.append(f"| {domain} | {row['images']} | {choice} | {' | '.join(shown)} | {row['seconds']:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the sets")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--choices", nargs="+", choices=(*CHOICES, *WINDOWS), default=list(CHOICES))
    parser.add_argument("--most", type=int, default=100, help="pictures of a set")
    parser.add_argument("--window", type=int, default=256, help="side of the windows in pixels, that of configs/cpu.yaml")
    parser.add_argument("--crop", type=int, help="the middle of each picture alone, so many pixels each way")
    parser.add_argument("--weights", type=Path, help="model.pt with one class of objects instead of the starter")
    parser.add_argument("--out", type=Path, help="JSON file of the scores so far")
    arguments = parser.parse_args()
    how = (arguments.data, arguments.most, arguments.window, arguments.crop, arguments.weights)
    choices = [FIRST, *(choice for choice in arguments.choices if choice != FIRST)]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for domain in arguments.sets:
        for choice in choices:
            found.setdefault(domain, {})[choice] = score(choice, domain, *how)
            print(f"{domain}, {choice}: {found[domain][choice]}", file=sys.stderr, flush=True)
            if arguments.out is not None:
                arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found, choices))


if __name__ == "__main__":
    main()
