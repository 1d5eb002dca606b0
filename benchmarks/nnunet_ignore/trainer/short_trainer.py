"""nnU-Net's trainer with fewer iterations, or minutes; nnU-Net finds it by ``nnUNet_extTrainer``, the folder of this file."""

from __future__ import annotations

import os
import time

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


def _share() -> float:
    """Of the ``BENCHMARK_MINUTES`` of a core that this process may take in all, what it has taken."""
    return time.process_time() / 60 / float(os.environ["BENCHMARK_MINUTES"])


class TimeIsOver(Exception):
    """The minutes are over."""


class ByTheClock(PolyLRScheduler):
    """nnU-Net's falling learning rate, over minutes instead of epochs."""

    def step(self, current_step: int | None = None) -> None:
        super().step(min(_share(), 0.999))


class ShortTrainer(nnUNetTrainer):
    """As long as ``BENCHMARK_EPOCHS`` and ``BENCHMARK_ITERATIONS`` (of an epoch) say; where ``BENCHMARK_MINUTES`` is not 0, as
    many epochs as begin within so many minutes of a core since the process's start. The rest is nnU-Net's.

    nnU-Net reads the names of these arguments, so they must be those of its own class.
    """

    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict, device: torch.device) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = int(os.environ["BENCHMARK_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["BENCHMARK_ITERATIONS"])
        self.num_val_iterations_per_epoch = 1  # its Dice on marked pixels flatters and chooses nothing here

        self.by_the_clock = float(os.environ.get("BENCHMARK_MINUTES", 0)) > 0
        if self.by_the_clock:
            self.num_epochs = 1 << 20

    def configure_optimizers(self) -> tuple:
        """nnU-Net's, whose learning rate falls over the time that there is."""
        optimizer, scheduler = super().configure_optimizers()
        return optimizer, ByTheClock(optimizer, self.initial_lr, 1) if self.by_the_clock else scheduler

    def on_epoch_end(self) -> None:
        """nnU-Net's; the last one is the one in which the time ends."""
        super().on_epoch_end()
        if self.by_the_clock and _share() >= 1:
            raise TimeIsOver

    def run_training(self) -> None:
        """nnU-Net's, to its end or to the end of the time."""
        try:
            super().run_training()
        except TimeIsOver:
            self.on_train_end()

    def plot_network_architecture(self) -> None:
        """Left out: it needs a package that does not work any more."""

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Left out: fold "all" has the training images for validation, and lazy labels judge nothing."""
