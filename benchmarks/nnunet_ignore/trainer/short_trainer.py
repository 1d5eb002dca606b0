"""nnU-Net's trainer with fewer iterations; nnU-Net finds it by ``nnUNet_extTrainer``, the folder of this file."""

from __future__ import annotations

import os

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class ShortTrainer(nnUNetTrainer):
    """As long as ``BENCHMARK_EPOCHS`` and ``BENCHMARK_ITERATIONS`` (of an epoch) say. The rest is nnU-Net's.

    nnU-Net reads the names of these arguments, so they must be those of its own class.
    """

    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict, device: torch.device) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = int(os.environ["BENCHMARK_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["BENCHMARK_ITERATIONS"])
        self.num_val_iterations_per_epoch = 1  # its Dice on marked pixels flatters and chooses nothing here

    def plot_network_architecture(self) -> None:
        """Left out: it needs a package that does not work any more."""

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Left out: fold "all" has the training images for validation, and lazy labels judge nothing."""
