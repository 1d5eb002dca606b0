"""How soon a warm training is where a cold one ends."""

from __future__ import annotations

import pytest

from lazylabels_monai.experiments.reaching import reached, reaching_table
from lazylabels_monai.experiments.rows import Row
from lazylabels_monai.experiments.spec import DataSet, Method, Run, Scale

COLD = [[5, 0.2], [10, 0.7], [15, 0.6], [20, 0.65]]


@pytest.mark.parametrize(
    ("warm", "share"),
    [
        ([[5, 0.65], [10, 0.1], [15, 0.1], [20, 0.1]], 0.25),
        ([[5, 0.64], [10, 0.1], [15, 0.1], [20, 0.9]], 1.0),
        ([[5, 0.64], [10, 0.1], [15, 0.1], [20, 0.64]], None),
        ([], None),
    ],
)
def test_the_share_of_the_training_until_the_others_end(warm, share):
    assert reached(warm, COLD) == share


def row(method: Method, curves: dict[int, list[list[float]]], data: str = "lazy") -> Row:
    run = Run(Scale("cpu"), DataSet("emps", "emps", {"lazy": "", "full": ""}), data, method, 0)
    return Row(method.title, run, {seed: {"curves": {"val_mean_dice": curve}} for seed, curve in curves.items()}, "testing")


def test_a_warm_method_is_held_against_the_same_one_from_nothing():
    warm = [[5, 0.66], [10, 0.7], [15, 0.7], [20, 0.8]]
    rows = [
        row(Method("unet", "U-Net", overlays=("configs/unet.yaml",)), {0: COLD}),
        row(Method("multitask", "multi-task"), {0: COLD, 1: COLD}),
        row(Method("multitask_starter", "from the starter", warm=True), {1: warm, 2: warm}),
    ]
    table = reaching_table(rows)
    assert table.splitlines()[-1] == "| from the starter | 0.660 / 0.200 | 0.800 / 0.650 | 25% |"
    assert reaching_table(rows[:1] + rows[2:]) == reaching_table(rows[:2]) == ""
