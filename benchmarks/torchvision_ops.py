"""Let torchvision be imported where its compiled operators do not fit the installed torch; nnU-Net needs none of them."""

from __future__ import annotations

import importlib
import sys

import torch

#: What torchvision looks for on import.
_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

__all__ = ["import_torchvision"]


def import_torchvision() -> None:
    """Import torchvision; where its operators are missing, declare those that it looks for, without anything behind them."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name, schema in _SCHEMAS.items():
            torch.library.define(f"torchvision::{name}", schema)
        importlib.import_module("torchvision")
