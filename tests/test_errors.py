"""Errors for people: arguments that would do nothing are refused."""

from __future__ import annotations

import pytest

from lazylabels_monai.errors import LazyLabelsError, check_overrides


@pytest.mark.parametrize(
    "given",
    [
        ["--max_epochs", "3", "--train#saver_x", "1", "--loss::normalization", "labelled"],
        ["--resume", "True", "--amp", "False", "--network_def#dropout=0.1", "--final-id", "finalize"],
    ],
)
def test_overrides_of_existing_ids_pass(bundle, given):
    check_overrides(["run", "training", "--config_file", str(bundle.files("train.yaml")), *given])


@pytest.mark.parametrize("given", [["--max_epoch", "3"], ["--optimiser#lr=1"], ["--resume=false"], ["--class_weights", "null"]])
def test_overrides_that_would_do_nothing_are_refused(bundle, given):
    with pytest.raises(LazyLabelsError, match=r"^command line: '--"):
        check_overrides(["run", "training", "--config_file", str(bundle.files("train.yaml")), *given])
