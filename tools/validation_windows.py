"""Are weights that are chosen by windows as good as those that whole images would have chosen?

One training of each data set, validated on windows within ``val_share`` as any is; beside it, and outside of what is timed,
each validation also scores the whole validation images. So both choices are made among the same weights:

    python tools/validation_windows.py data/emps data/glas --set max_epochs=12 val_interval=2

Data sets are made as docs/public-sets.md says. Options after ``--set`` are ids of the bundle's configs.
"""

from __future__ import annotations

import argparse
import ast
import tempfile
import time
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.bundle import ConfigWorkflow

from lazylabels_monai.bundle_folder import bundle_config, find_overlay
from lazylabels_monai.data.choosing import is_loss

__all__ = ["compare", "row"]

HEAD = (
    "| data | validations on | final choice on | best epoch by whole images | chosen | whole-image Dice of both | difference "
    "| share of the time | forecast | taken |\n|---|---|---|---|---|---|---|---|---|---|"
)


def compare(data: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train once, and score every validated epoch on windows and on whole images.

    Args:
        data: folder with ``datalist.json``.
        settings: ids of the configs, after those of ``configs/cpu.yaml``.

    Returns:
        ``windows`` and ``whole``: scores by epoch; ``chosen``: the epoch of ``model.pt``; ``count`` and ``final``: what was
        looked at; ``seconds``, ``forecast`` and ``share`` of validation, without what is only done here.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [str(bundle_config(None, "train.yaml")), str(find_overlay("cpu.yaml"))]
        out = {"dataset_dir": str(data), "output_dir": folder, "ckpt_dir": f"{folder}/models"}
        workflow = ConfigWorkflow(files, workflow_type="train", logging_file=False, **{**out, **settings})
        workflow.initialize()
        get = workflow.parser.get_parsed_content
        trainer, evaluator, images = get("train#trainer"), get("validate#evaluator"), get("validate#dataset")
        choice, pace = get("train#final_choice"), get("train#pace")
        whole = copy(images)
        whole.chosen = None
        scores: dict[str, dict[int, float]] = {"windows": {}, "whole": {}}
        aside = [0.0]

        def judge(engine: Any) -> None:
            begun = time.monotonic()
            name, epoch = engine.state.key_metric_name, trainer.state.epoch
            scores["windows"][epoch] = float(engine.state.metrics[name])
            judged = choice.evaluator_of(whole)
            judged.run(epoch)
            scores["whole"][epoch] = float(judged.state.metrics[judged.state.key_metric_name])
            aside[0] += time.monotonic() - begun

        evaluator.add_event_handler(Events.EPOCH_COMPLETED, judge)
        workflow.run()
        workflow.finalize()
        if choice.chosen is None:
            sign = -1 if is_loss(evaluator.state.key_metric_name) else 1
            choice.chosen = max(scores["whole"], key=lambda epoch: (sign * scores["whole"][epoch], -epoch))
        seconds = pace.took - aside[0]
        return {
            **scores,
            "chosen": choice.chosen,
            "count": f"{images.count} windows" if images.count else f"{len(images)} images",
            "final": choice.judged_on,
            "seconds": seconds,
            "forecast": pace.total,
            "share": (pace.validated + pace.chose - aside[0]) / seconds,
        }


def row(name: str, found: Mapping[str, Any]) -> str:
    """A line of the table."""
    whole = found["whole"]
    best = max(whole, key=lambda epoch: (whole[epoch], -epoch))
    chosen = found["chosen"]
    cells = (
        *(name, found["count"], found["final"] or "-", best, chosen, f"{whole[best]:.4f} / {whole[chosen]:.4f}"),
        *(f"{whole[best] - whole[chosen]:.4f}", f"{found['share']:.0%}"),
        *(f"{found['forecast']:.0f} s", f"{found['seconds']:.0f} s"),
    )
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, a line as soon as a data set is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="folders of data sets")
    parser.add_argument("--set", nargs="*", default=[], help="ids of the configs, such as max_epochs=12")
    given = parser.parse_args(arguments)
    settings = {name: _value(text) for name, _, text in (each.partition("=") for each in given.set)}
    print(HEAD, flush=True)
    for data in given.data:
        print(row(data.name, compare(data, settings)), flush=True)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()
