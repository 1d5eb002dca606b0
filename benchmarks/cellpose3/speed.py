"""Cellpose 3's side of ``bench others``: ``python -m benchmarks.cellpose3.speed``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.flows import predicting, write_flows
from benchmarks.serving import Predict, serve

PLACE = "cellpose3"


def prepare(folder: Path) -> None:
    """Random weights of the network of "cyto3", and the flows of the exact masks."""
    from cellpose.models import CellposeModel

    (folder / PLACE).mkdir(exist_ok=True)
    CellposeModel().net.save_model(str(folder / PLACE / "weights"))
    write_flows(folder, PLACE)


def load(folder: Path, variant: str) -> Predict:
    """The network once: the default of the command line estimates the size of objects before that, which doubles the time."""
    from cellpose.models import CellposeModel

    model = CellposeModel(pretrained_model=str(folder / PLACE / "weights"))
    return predicting(folder, PLACE, model, lambda image: model.eval(image, channels=[0, 0], compute_masks=False))


if __name__ == "__main__":
    serve(prepare, load, ("cyto3",))
