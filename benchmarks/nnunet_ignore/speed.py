"""nnU-Net's side of ``bench others``: ``python -m benchmarks.nnunet_ignore.speed``.

Networks with random weights, which take as long as trained ones: nnU-Net makes no objects, and its class map costs the same
whatever it shows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from benchmarks.serving import Clock, Predict, serve

PLACE = "nnunet_ignore"
#: Network and way of predicting: nnU-Net's own plan with its mean over four mirrored windows, the same without, and the small
#: network of the comparison of scores.
VARIANTS = ("planned", "planned, one view", "small, one view")


def _ready(folder: Path) -> None:
    """Folders of nnU-Net, and torchvision, which it imports."""
    from benchmarks.torchvision_ops import import_torchvision

    for part in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{part}"] = str((folder / PLACE / part).resolve())
    os.environ |= {"nnUNet_compile": "false"}
    import_torchvision()


def prepare(folder: Path) -> None:
    """Let nnU-Net plan for the exported set; random weights of the planned network and of the small one."""
    _ready(folder)
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from benchmarks.exported import read_exported
    from benchmarks.nnunet_ignore.__main__ import NAME, own_plans, parse, small_plans, write_raw

    options = parse().parse_args(["", ""])
    raw, preprocessed = folder / PLACE / "raw" / NAME, folder / PLACE / "preprocessed" / NAME
    write_raw(read_exported(folder / "exported"), raw)
    about = json.loads((raw / "dataset.json").read_text(encoding="utf-8"))
    planned = own_plans(preprocessed)
    small = small_plans(json.loads(json.dumps(planned)), options.patch, options.batch, options.widths)
    for name, plans in (("planned", planned), ("small", small)):
        manager = PlansManager(plans)
        heads = manager.get_label_manager(about).num_segmentation_heads
        channels = len(about["channel_names"])
        network = nnUNetTrainer.build_network_architecture(manager, manager.get_configuration("2d"), channels, heads, False)
        model = folder / PLACE / name
        (model / "fold_all").mkdir(parents=True)
        (model / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
        (model / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
        checkpoint = {"network_weights": network.state_dict(), "trainer_name": "nnUNetTrainer"}
        checkpoint |= {"init_args": {"configuration": "2d"}, "inference_allowed_mirroring_axes": (0, 1)}
        torch.save(checkpoint, model / "fold_all" / "checkpoint_final.pth")


def load(folder: Path, variant: str) -> Predict:
    """nnU-Net's predictor, half of a window overlapping, as it comes."""
    _ready(folder)
    import torch
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    name, *views = variant.split(", ")
    predictor = nnUNetPredictor(use_mirroring=not views, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder / PLACE / name), ("all",), "checkpoint_final.pth")
    reader = NaturalImage2DIO()

    def predict(path: Path, clock: Clock) -> np.ndarray:
        with clock("network"):
            return predictor.predict_single_npy_array(*reader.read_images((str(path),)))[0]

    return predict


if __name__ == "__main__":
    serve(prepare, load, VARIANTS)
