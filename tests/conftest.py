"""Fixtures that several test files share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: threads that wait for a busy core spin, 20 times as slow

import torch
from filelock import FileLock
from monai.bundle import ConfigWorkflow

from lazylabels_monai.data.simulating.synthetic import make_dataset
from tests.helpers import ROOT
from tests.warm import WarmPython

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real image sets; tests that need it skip where the variable is unset."""
    root = os.environ.get("LAZYLABELS_DATA")
    if not root:
        pytest.skip("LAZYLABELS_DATA is not set: no real image sets to test on")
    return Path(root).resolve()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """``made_once(name, make)``: a folder that the first of pytest-xdist's workers makes and the others wait for."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, whole = base / "once" / name, base / "once" / f"{name}.whole"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                whole.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def tiny_data(made_once) -> Path:
    """The built-in data, small: 4 training images (1 exact mask), 2 for validation, 2 for testing, none of them square."""
    sizes = {"num_train": 4, "num_validation": 2, "num_test": 2, "size": (64, 80)}
    return made_once("tiny", lambda root: make_dataset(root, **sizes, strong=1, detection=3, separation=4, seed=0))


class BundleRunner:
    """The bundle's workflows at a size for tests, in this process or as a command line."""

    def __init__(self) -> None:
        self.configs = ROOT / "bundle" / "configs"
        self.overlays = ROOT / "configs"
        self.network = {"channels": [4, 8, 8], "num_multitask_blocks": 2, "crop_size": [32, 32], "device": "cpu"}
        self.training = {"crops_per_epoch": 8, "batch_size": 4, "max_epochs": 2, "val_interval": 1, "num_workers": 0}

    def files(self, *names: str | Path) -> list[str]:
        """Paths of the bundle's own config files, given by name, and of any other."""
        return [str(self.configs / name if isinstance(name, str) else name) for name in names]

    def overrides(self, data: Path, out: Path, **more: Any) -> dict[str, Any]:
        """What every run is given; float32, as in the plain re-statements that it is compared with, on any processor."""
        folders = {"dataset_dir": str(data), "output_dir": str(out), "ckpt_dir": str(out / "models")}
        return {**folders, "cpu_bfloat16": False, **self.network, **more}

    @contextmanager
    def workflow(self, files: list[str], kind: str, **overrides: Any) -> Iterator[ConfigWorkflow]:
        """An initialized workflow; what it changes in this process is put back."""
        hook, path = sys.excepthook, list(sys.path)
        try:
            workflow = ConfigWorkflow(config_file=files, workflow_type=kind, logging_file=False, **overrides)
            workflow.initialize()
            yield workflow
            workflow.finalize()
        finally:
            sys.excepthook, sys.path[:] = hook, path

    def run(self, files: list[str], kind: str, **overrides: Any) -> ConfigWorkflow:
        """Initialize, run and finalize."""
        with self.workflow(files, kind, **overrides) as workflow:
            workflow.run()
        return workflow

    def train(self, data: Path, out: Path, *overlays: Path, **more: Any) -> ConfigWorkflow:
        """Two epochs of two steps, unless told otherwise."""
        return self.run(self.files("train.yaml", *overlays), "train", **{**self.overrides(data, out), **self.training, **more})

    def evaluate(self, data: Path, out: Path, *overlays: Path, **more: Any) -> ConfigWorkflow:
        """Metrics of ``out/models/model.pt`` on the testing images."""
        return self.run(self.files("train.yaml", "evaluate.yaml", *overlays), "train", **self.overrides(data, out, **more))

    def infer(self, data: Path, out: Path, *overlays: Path, **more: Any) -> ConfigWorkflow:
        """Predictions of ``out/models/model.pt``."""
        return self.run(self.files("inference.yaml", *overlays), "infer", **self.overrides(data, out, **more))

    def arguments(self, run_id: str, files: list[str], **overrides: Any) -> list[str]:
        """What follows ``python`` on a command line."""
        named = {"config_file": files, **overrides}
        return [
            "-m",
            "monai.bundle",
            "run",
            run_id,
            *(part for key, value in named.items() for part in (f"--{key}", str(value))),
        ]

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a command line that runs anywhere, on one core."""
        return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def bundle() -> BundleRunner:
    """The bundle's workflows at a size for tests."""
    return BundleRunner()


@pytest.fixture(scope="session")
def trained(bundle, tiny_data, made_once) -> Path:
    """Folder of a finished tiny training; not to be written to."""
    return made_once("trained", lambda out: bundle.train(tiny_data, out))


@pytest.fixture(scope="session")
def weights_with_dropout(bundle, tiny_data, made_once) -> Path:
    """``model.pt`` of a tiny training with dropout; not to be written to."""
    out = made_once("dropout", lambda out: bundle.train(tiny_data, out, max_epochs=1, dropout=0.2))
    return out / "models" / "model.pt"


@pytest.fixture(scope="session")
def python(bundle, made_once) -> str:
    """A program to call in place of Python: it runs ``-m monai.bundle`` and the like without waiting for imports."""
    imports = ("lazylabels_monai.workflow", "lazylabels_monai.evaluation.results", "lazylabels_monai.predicting.folder")
    modules = ("monai.bundle", "monai.engines", "monai.handlers", "torch.utils.tensorboard", "torch.distributed.run", *imports)
    if sys.platform != "linux":
        return sys.executable
    # the process that outlives the others is the one that started the workers, where there are any
    lives_with = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    start = lambda folder: folder.mkdir() or WarmPython(folder, modules, bundle.environment, lives_with)  # noqa: E731
    return str(made_once("warm", start) / "python")


@pytest.fixture(scope="session", autouse=True)
def _imports_begin(request) -> None:
    """The process behind ``python`` imports while other tests run."""
    if any("python" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("python")


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """Name the tests on real images that ran, and say where they were left out."""
    reports = [r for kind in ("passed", "failed", "skipped") for r in terminalreporter.stats.get(kind, [])]
    real = [r for r in reports if "real_data" in getattr(r, "keywords", ()) and (r.when == "call" or r.skipped)]
    terminalreporter.section(f"tests on real images ({os.environ.get('LAZYLABELS_DATA') or 'LAZYLABELS_DATA is not set'})")
    for report in real:
        terminalreporter.write_line(f"{report.outcome:<8}{report.nodeid}")
