"""Cellpose 4's side of ``bench others``: ``python -m benchmarks.cellpose.speed``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.flows import predicting, write_flows
from benchmarks.serving import Predict, serve

PLACE = "cellpose"


def _ready() -> None:
    """Let torchvision, which "segment anything" imports, be imported."""
    from benchmarks.torchvision_ops import import_torchvision

    import_torchvision()


def prepare(folder: Path) -> None:
    """Random weights of Cellpose-SAM, and the flows of the exact masks."""
    _ready()
    from cellpose.vit import CPSAM

    (folder / PLACE).mkdir(exist_ok=True)
    CPSAM().save_model(str(folder / PLACE / "weights"))
    write_flows(folder, PLACE)


def load(folder: Path, variant: str) -> Predict:
    """Default settings; numbers of 32 bits where "float32" is asked for, 16 as it comes."""
    _ready()
    from cellpose.models import CellposeModel

    model = CellposeModel(pretrained_model=str(folder / PLACE / "weights"), use_bfloat16=variant == "bfloat16")
    return predicting(folder, PLACE, model, lambda image: model.eval(image, compute_masks=False))


if __name__ == "__main__":
    serve(prepare, load, ("float32", "bfloat16"))
