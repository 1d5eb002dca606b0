"""``python -m benchmarks.nnunet_ignore LABELS OUT``: plan, train and predict by nnU-Net v2 with its ignore label."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from benchmarks.exported import (
    TRAINED,
    BenchmarkError,
    Exported,
    arguments,
    main,
    read_exported,
    write_about,
    write_predictions,
)

NUMBER, NAME, PLANS = 1, "Dataset001_lazy", "small"
_TRAINER = Path(__file__).parent / "trainer"


def write_raw(exported: Exported, folder: Path) -> None:
    """Write nnU-Net's own form of the training images: the unknown value becomes its ignore label, one above the interface.

    Raises:
        BenchmarkError: for an image that is neither gray nor colour, and for images of both kinds.
    """
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    ignore, channels = exported.interface + 1, set()
    training = exported.training()
    for image, label, stem in training:
        channels.add(1 if image.ndim == 2 else image.shape[-1])
        tifffile.imwrite(folder / "imagesTr" / f"{stem}_0000.tif", image)
        tifffile.imwrite(
            folder / "labelsTr" / f"{stem}.tif", np.where(label == exported.unknown, ignore, label).astype(np.uint8)
        )
    if len(channels) > 1 or not channels <= {1, 3, 4}:
        raise BenchmarkError(f"{exported.folder}: images of {sorted(channels)} channels: make all of them gray, or all colour.")
    content = {
        "channel_names": {str(index): f"channel {index}" for index in range(channels.pop())},
        "labels": {"background": 0}
        | {name: value for value, name in enumerate(exported.classes, 1)}
        | {"interface of touching objects": exported.interface, "ignore": ignore},
        "numTraining": len(training),
        "file_ending": ".tif",
    }
    (folder / "dataset.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def small_plans(plans: dict[str, Any], patch: int, batch: int, widths: list[int]) -> dict[str, Any]:
    """nnU-Net's own plans with a smaller 2D configuration: patch, batch and a plain U-Net of these widths."""
    stages = len(widths)
    small = plans["configurations"]["2d"]
    small |= {"patch_size": [patch, patch], "batch_size": batch}
    small["architecture"]["arch_kwargs"] |= {
        "n_stages": stages,
        "features_per_stage": widths,
        "kernel_sizes": [[3, 3]] * stages,
        "strides": [[1, 1]] + [[2, 2]] * (stages - 1),
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
    }
    return plans | {"plans_name": PLANS, "configurations": {"2d": small}}


def run(options: argparse.Namespace) -> None:
    """Plan, train and predict; what nnU-Net writes lies in ``OUT/nnunet``."""
    exported = read_exported(options.labels)
    work = options.out / "nnunet"
    shutil.rmtree(work, ignore_errors=True)  # of an interrupted run
    for part in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{part}"] = str((work / part).resolve())
    os.environ |= {"nnUNet_extTrainer": str(_TRAINER), "nnUNet_def_n_proc": "1", "nnUNet_compile": "false"}
    os.environ |= {"BENCHMARK_EPOCHS": str(options.epochs), "BENCHMARK_ITERATIONS": str(options.iterations)}
    os.environ |= {"BENCHMARK_MINUTES": str(options.minutes)}
    os.environ |= {"nnUNet_n_proc_DA": "2"}  # the planner makes it the number of torch's threads, so 0 fails
    write_raw(exported, work / "raw" / NAME)
    plan(options, work / "preprocessed" / NAME / f"{PLANS}.json")
    os.environ |= {"nnUNet_n_proc_DA": "0"}  # augmentation in this process: one core, and repeatable
    train(options.seed)
    trained = time.process_time() / 60
    model = work / "results" / NAME / f"ShortTrainer__{PLANS}__2d"
    predict(exported, options, model)
    told = ("epochs", "minutes", "iterations", "patch", "batch", "widths", "window", "mirroring")
    settings = {name: getattr(options, name) for name in told if getattr(options, name) is not None}
    settings[TRAINED] = round(trained, 2)
    curves = {"loss/nnU-Net, Dice and cross entropy": losses(model)}
    write_about(options.out, ("nnunetv2", "torch"), settings, curves=curves)
    shutil.rmtree(work / "preprocessed")
    shutil.rmtree(work / "raw")


def plan(options: argparse.Namespace, path: Path) -> None:
    """Fingerprint, plans and preprocessing by nnU-Net; the plans made smaller."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import preprocess

    made = own_plans(path.parent)
    path.write_text(json.dumps(small_plans(made, options.patch, options.batch, options.widths), indent=1), encoding="utf-8")
    preprocess([NUMBER], PLANS, ("2d",), (1,), show_progress_bar=False)


def own_plans(folder: Path) -> dict[str, Any]:
    """What nnU-Net plans for the set whose preprocessed images lie in a folder."""
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments

    threads = torch.get_num_threads()
    extract_fingerprints([NUMBER], num_processes=1, check_dataset_integrity=False, show_progress_bar=False)
    plan_experiments([NUMBER])
    torch.set_num_threads(threads)
    return json.loads((folder / "nnUNetPlans.json").read_text(encoding="utf-8"))


def train(seed: int) -> None:
    """Train on all training images: those of validation pick how objects are made, nothing here."""
    import random

    import torch
    from nnunetv2.run.run_training import run_training

    random.seed(seed)
    np.random.seed(seed)  # nnU-Net draws from numpy's global state
    torch.manual_seed(seed)
    run_training(NAME, "2d", "all", "ShortTrainer", PLANS, device=torch.device("cpu"))


def predict(exported: Exported, options: argparse.Namespace, model: Path) -> None:
    """Class maps by nnU-Net's predictor from the last weights, over windows that may be larger than the patches of training."""
    import torch
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        use_mirroring=options.mirroring, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(model), ("all",), "checkpoint_final.pth")
    reader = NaturalImage2DIO()
    windows = predictor.configuration_manager.configuration
    multiple = 2 ** (len(options.widths) - 1)

    def classify(path: Path) -> np.ndarray:
        image, properties = reader.read_images((str(path),))
        if options.window:
            # not larger than the image: it would be padded with zeros, and nnU-Net's instance normalization would see them
            windows["patch_size"] = [min(options.window, -(-size // multiple) * multiple) for size in image.shape[-2:]]
        return predictor.predict_single_npy_array(image, properties)[0]

    write_predictions(exported, options.out, classify, partial(print, flush=True))


def losses(model: Path) -> list[list[float]]:
    """(epoch, training loss) of the last weights' file."""
    import torch

    logged = torch.load(model / "fold_all" / "checkpoint_final.pth", map_location="cpu", weights_only=False)["logging"]
    return [[epoch, round(float(value), 4)] for epoch, value in enumerate(logged["train_losses"], 1)]


def parse() -> argparse.ArgumentParser:
    """The command line."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=0, help="of a core, after which training ends; 0: when epochs do")
    parser.add_argument("--iterations", type=int, default=20, help="of an epoch")
    parser.add_argument("--patch", type=int, default=128, help="pixels; 2 to the power of the number of widths divides it")
    parser.add_argument("--window", type=int, help="in prediction, at most the image; default the patch, nnU-Net's own way")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64, 128, 256], help="of the stages, from the top")
    parser.add_argument("--no-mirroring", dest="mirroring", action="store_false", help="predict each window once, not flipped")
    return parser


if __name__ in ("__main__", "__mp_main__"):  # nnU-Net starts processes, which import this file, then nnU-Net
    from benchmarks.torchvision_ops import import_torchvision

    import_torchvision()

if __name__ == "__main__":
    main(run, parse())
