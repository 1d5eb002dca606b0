"""What ``benchmarks/gpu.sh`` runs on the machine with the GPU: ``python -m lazylabels_monai.bench.gpu_stages STAGE OUT``.

Each stage is a process of its own and writes ``OUT/STAGE.json`` after each figure, so that one that is cut keeps what it has.
:mod:`lazylabels_monai.bench.gpu` makes the tables. No module of the command line is imported: that machine may lack typer.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from ignite.engine import Engine
    from monai.bundle import ConfigWorkflow

__all__ = ["NEEDED", "STAGES", "Record", "main", "missing"]

_BEGAN = time.monotonic()

#: Packages that the stages import, by the names of import and, where it differs, of installation.
NEEDED = {
    **dict.fromkeys(("torch", "numpy", "scipy", "tifffile", "filelock", "tensorboard", "monai", "fire", "termcolor"), ""),
    **{
        "skimage": "scikit-image",
        "PIL": "pillow",
        "yaml": "pyyaml",
        "ignite": "pytorch-ignite",
    },
}
#: Sizes at which a stage takes seconds on a CPU, for tests and for the rehearsal before the rest.
QUICK: dict[str, Any] = {
    **{"channels": [4, 8, 8], "num_multitask_blocks": 2, "crop_size": [32, 32], "batch_size": 4},
    **{"crops_per_epoch": 8, "num_workers": 0, "val_interval": 1},
}
#: Epochs of a training that ends by the clock; not so many that counting those to come takes time.
_FOREVER = 5_000


class Record:
    """A JSON file that holds all figures so far.

    Args:
        file: where.
        values: that are known from the beginning.
    """

    def __init__(self, file: Path, **values: Any) -> None:
        self.file, self.values = file, values

    def add(self, **values: Any) -> None:
        """Add figures and write the file anew, whole."""
        from lazylabels_monai.atomic import write_text

        self.values.update(values)
        write_text(self.file, json.dumps(self.values, indent=1) + "\n")


def missing(names: Sequence[str] = tuple(NEEDED)) -> list[str]:
    """Those of the packages that are not here, by the names under which they are installed; nothing is imported."""
    return [NEEDED.get(name) or name for name in names if find_spec(name) is None]


def machine(device: str) -> dict[str, str]:
    """Of what a record is."""
    import torch

    name = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "no GPU"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, MONAI {metadata.version('monai')}"
    return {"date": time.strftime("%Y-%m-%d"), "device": name, "cores": str(os.cpu_count()), "versions": versions}


# ------------------------------------------------------------------------------------------------------------ stages


def ready(record: Record, data: Path, device: str, seconds: float, quick: bool) -> None:
    """All imports, and the training and scoring of :func:`score` in miniature: what would fail at the end fails now."""
    from lazylabels_monai.data.simulating.synthetic import make_dataset

    record.add(imports=round(time.monotonic() - _BEGAN, 1))
    with tempfile.TemporaryDirectory() as folder:
        tiny = Path(folder, "data")
        make_dataset(tiny, num_train=4, num_validation=2, num_test=2, size=(64, 80), strong=1, detection=3, separation=4)
        _train_and_score(record, tiny, device, 1.0, QUICK)


def peak(record: Record, data: Path, device: str, seconds: float, quick: bool) -> None:
    """FLOP/s of a product of two square matrices in each precision, and bytes/s of a copy."""
    import torch

    size = 256 if quick else 8192
    kinds = {"float32": (torch.float32, "highest"), "TF32": (torch.float32, "high")}
    kinds |= {"float16": (torch.float16, "highest"), "bfloat16": (torch.bfloat16, "highest")}
    flops: dict[str, float] = {}
    for name, (dtype, precision) in kinds.items():
        torch.set_float32_matmul_precision(precision)
        one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        flops[name] = 2 * size**3 / _seconds(lambda one=one, other=other: one @ other, device, seconds / 5)
        record.add(size=size, flops=flops)
    torch.set_float32_matmul_precision("highest")
    source = torch.zeros((1 << 20) if quick else (1 << 30), dtype=torch.uint8, device=device)
    made = torch.empty_like(source)
    record.add(bytes=2 * source.numel() / _seconds(lambda: made.copy_(source), device, seconds / 5))


def training(record: Record, data: Path, device: str, seconds: float, quick: bool) -> None:
    """Steps of ``configs/paper.yaml`` on one batch in each precision, and the training as it runs, with its data."""
    import torch

    is_cuda = torch.device(device).type == "cuda"
    with _workflow(data, device, ["train.yaml"], ["paper.yaml"], QUICK if quick else {}, parts_only=True) as workflow:
        get = workflow.parser.get_parsed_content
        network, loss, optimizer, prepare = map(get, ("network", "loss", "optimizer", "train#prepare_batch"))
        inputs, target = prepare(next(iter(get("train#dataloader"))), torch.device(device))
        channels, batch = list(get("channels")), len(inputs)
        record.add(channels=channels, batch=batch, crop=list(inputs.shape[2:]), step_flops=_flops(network, inputs, back=True))
        ways: dict[str, tuple[Any, bool]] = {"float32": (None, False), "float16": (torch.float16, False)}
        ways |= {"bfloat16": (torch.bfloat16, False), "float16, fastest kernels": (torch.float16, True)}
        steps: dict[str, dict[str, float]] = {}
        state = copy.deepcopy(network.state_dict())
        for name, (dtype, fastest) in ways.items():
            if not is_cuda and name.startswith("float16"):
                continue  # of no use on a CPU
            network.load_state_dict(state)
            network.train()
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = fastest, not fastest
            scaler = torch.amp.GradScaler(torch.device(device).type, enabled=dtype is torch.float16)
            if is_cuda:
                torch.cuda.reset_peak_memory_stats(device)

            def step(dtype: Any = dtype, scaler: Any = scaler) -> None:
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast(torch.device(device).type, dtype, enabled=dtype is not None):
                    value = loss(network(inputs), target)
                scaler.scale(value).backward()
                scaler.step(optimizer)
                scaler.update()

            steps[name] = {"seconds": _seconds(step, device, seconds / 10)}
            if is_cuda:
                steps[name]["memory"] = torch.cuda.max_memory_allocated(device)
            record.add(steps=steps)
        default = get("num_workers")
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True  # as a training of ours has it
    loops: list[dict[str, Any]] = []
    for workers in dict.fromkeys((default, 0 if quick else max(1, (os.cpu_count() or 1) - 2))):
        given = {**(QUICK if quick else {}), "num_workers": workers, "max_epochs": _FOREVER, "validate#judged_by": "nothing"}
        with _workflow(data, device, ["train.yaml"], ["paper.yaml"], given) as workflow:
            watch = _Watch(seconds / 5, device)
            trainer = workflow.parser.get_parsed_content("train#trainer")
            watch.attach(trainer)
            workflow.run()
            loops.append({"workers": workers, "amp": bool(trainer.amp), **watch.found()})
            record.add(loops=loops)


class _Watch:
    """Ignite handler: after the first epoch, times a training for so many seconds, profiles an epoch, and ends it."""

    def __init__(self, seconds: float, device: str) -> None:
        self.seconds, self.device = seconds, device
        self.start = self.end = self.waited = self.mark = 0.0
        self.steps = self.profiled = 0
        self.busy = 0.0  # seconds of the GPU in profiled steps
        self.profiler: Any = None

    def attach(self, trainer: Engine) -> None:
        from ignite.engine import Events

        trainer.add_event_handler(Events.GET_BATCH_STARTED, self._asks)
        trainer.add_event_handler(Events.GET_BATCH_COMPLETED, self._got)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._stepped)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._epoch)

    def _asks(self, trainer: Engine) -> None:
        self.mark = time.monotonic()

    def _got(self, trainer: Engine) -> None:
        if self.start and not self.end:
            self.waited += time.monotonic() - self.mark

    def _stepped(self, trainer: Engine) -> None:
        if self.start and not self.end:
            self.steps += 1
        self.profiled += self.profiler is not None

    def _epoch(self, trainer: Engine) -> None:
        """Whole epochs only, so that what is done at their ends has its share."""
        import torch
        from torch.profiler import ProfilerActivity, profile

        is_cuda = torch.device(self.device).type == "cuda"
        if is_cuda:
            torch.cuda.synchronize(self.device)
        now = time.monotonic()
        if not self.start:
            self.start = now
        elif self.profiler is not None:
            self.profiler.__exit__(None, None, None)
            if is_cuda:
                self.busy = sum(event.self_device_time_total for event in self.profiler.key_averages()) / 1e6
            trainer.terminate()
        elif now - self.start >= self.seconds:
            self.end = now
            self.profiler = profile(activities=[ProfilerActivity.CUDA if is_cuda else ProfilerActivity.CPU])
            self.profiler.__enter__()

    def found(self) -> dict[str, Any]:
        """Seconds of a step with all that belongs to it, the share of them that waits for data, and of the GPU's work."""
        step = (self.end - self.start) / self.steps
        busy = self.busy / self.profiled / step if self.busy else None
        return {"step": step, "steps": self.steps, "waiting": self.waited / (self.end - self.start), "busy": busy}


def prediction(record: Record, data: Path, device: str, seconds: float, quick: bool) -> None:
    """Mpixel/s of a picture in windows, as ``predict`` cuts them, with the network of ``lazylabels train`` on a GPU."""
    import torch

    from lazylabels_monai.bench.tasks import PART, WHOLE
    from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer

    kind = torch.device(device).type
    with _workflow(data, device, ["train.yaml"], [], QUICK if quick else {}, parts_only=True) as workflow:
        get = workflow.parser.get_parsed_content
        network, window, classes = get("network_def").eval(), list(get("window_size")), get("num_classes")
    side = 96 if quick else 2048
    picture = torch.randn(1, 1, side, side, device=device)
    record.add(picture=[side, side], window=window, window_flops=_flops(network, picture[:, :, : window[0], : window[1]]))
    found: list[dict[str, Any]] = []
    for dtype in (torch.float16 if kind == "cuda" else torch.bfloat16, None):
        for batch, answered in ((2, None), (8, None), (2, ["segmentation"])):
            inferer = MultiTaskSlidingWindowInferer(window, batch, 0.5, num_classes=classes, answered=answered)
            seen: list[int] = []

            def call(dtype: Any = dtype, inferer: Any = inferer) -> None:
                with torch.inference_mode(), torch.autocast(kind, dtype, enabled=dtype is not None):
                    inferer(picture, network)

            windows = None
            if answered is None:  # a part of the network has no hooks of the whole
                handle = network.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(len(given[0])))
                call()
                handle.remove()
                windows = sum(seen)
            if kind == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            took = _seconds(call, device, seconds / 8)
            memory = torch.cuda.max_memory_allocated(device) if kind == "cuda" else None
            name = "float32" if dtype is None else str(dtype).removeprefix("torch.")
            asked = WHOLE if answered is None else PART
            found.append(
                {"precision": name, "batch": batch, "asked": asked, "seconds": took, "windows": windows, "memory": memory}
            )
            record.add(ways=found)


def score(record: Record, data: Path, device: str, seconds: float, quick: bool) -> None:
    """What a training of so many seconds, begun from nothing, reaches on the test images; the start of Python counts, too."""
    _train_and_score(record, data, device, seconds, QUICK if quick else {})


STAGES: dict[str, Callable[[Record, Path, str, float, bool], None]] = {
    stage.__name__: stage for stage in (ready, peak, training, prediction, score)
}

# ----------------------------------------------------------------------------------------------------------- helpers


def _train_and_score(record: Record, data: Path, device: str, seconds: float, overrides: dict[str, Any]) -> None:
    from ignite.engine import Events

    given = {**overrides, "max_epochs": _FOREVER, "init_weights": "nothing"}
    curve: list[list[float]] = []
    with tempfile.TemporaryDirectory() as folder:
        with _workflow(data, device, ["train.yaml"], [], given, Path(folder)) as workflow:
            get = workflow.parser.get_parsed_content
            trainer, evaluator, weights = get("train#trainer"), get("validate#evaluator"), Path(folder, "models", "model.pt")
            record.add(channels=list(get("channels")), batch=get("batch_size"), crops_per_epoch=get("crops_per_epoch"))

            def validated(engine: Engine) -> None:
                value = float(engine.state.metrics[engine.state.key_metric_name])
                curve.append([round(time.monotonic() - _BEGAN, 1), trainer.state.epoch, value])
                record.add(curve=curve, curve_of=engine.state.key_metric_name)

            def stop(engine: Engine) -> None:
                if time.monotonic() - _BEGAN >= seconds and weights.is_file():
                    engine.terminate()

            evaluator.add_event_handler(Events.COMPLETED, validated)
            trainer.add_event_handler(Events.ITERATION_COMPLETED, stop)
            workflow.run()
            record.add(seconds=round(time.monotonic() - _BEGAN, 1), steps=trainer.state.iteration, epochs=trainer.state.epoch)
        kept = {name: value for name, value in overrides.items() if name in ("channels", "num_multitask_blocks", "crop_size")}
        with _workflow(data, device, ["train.yaml", "evaluate.yaml"], [], kept, Path(folder)) as workflow:
            workflow.run()
        record.add(score=json.loads(Path(folder, "metrics.json").read_text()))


@contextmanager
def _workflow(
    data: Path,
    device: str,
    files: list[str],
    overlays: list[str],
    overrides: dict[str, Any],
    out: Path | None = None,
    parts_only: bool = False,
) -> Iterator[ConfigWorkflow]:
    """The bundle's workflow, initialized but for the check of its data; ``parts_only``: not even a trainer is made."""
    from monai.bundle import ConfigWorkflow

    from lazylabels_monai.bundle_folder import bundle_config, find_overlay

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) if out is None else out
        paths = [str(bundle_config(None, name)) for name in files] + [str(find_overlay(name)) for name in overlays]
        given = {"dataset_dir": str(data), "output_dir": str(out), "ckpt_dir": str(out / "models"), "device": device}
        workflow = ConfigWorkflow(paths, workflow_type="train", logging_file=False, **{**given, **overrides})
        # the data is known, and to check it takes as long as a stage has
        begin = [] if parts_only else [line for line in workflow.parser["initialize"] if "require_valid" not in str(line)]
        workflow.parser["initialize"] = begin
        workflow.initialize()
        yield workflow
        workflow.finalize()


def _seconds(call: Callable[[], object], device: str, seconds: float, fewest: int = 3) -> float:
    """Median seconds of a call, repeated for about so long after two that are not counted."""
    import torch

    def once() -> float:
        start = time.perf_counter()
        call()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    for _ in range(2):
        once()
    taken, end = [], time.perf_counter() + seconds
    while len(taken) < fewest or time.perf_counter() < end:
        taken.append(once())
    return sorted(taken)[len(taken) // 2]


def _flops(network: torch.nn.Module, images: torch.Tensor, back: bool = False) -> int:
    """Multiplications and additions of Eq. 4's convolutions, as PyTorch's own layers count them; nothing is computed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from lazylabels_monai.networks.quick import plainly

    network = copy.deepcopy(network).to("meta").train(back)
    with plainly(), torch.set_grad_enabled(back), FlopCounterMode(display=False) as counter:
        made = network(torch.empty(images.shape, device="meta"))
        if back:
            made.sum().backward()
    return counter.get_total_flops()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stage; 2 where packages are missing, which are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["imports", *STAGES])
    parser.add_argument("out", type=Path, help="folder of the records")
    parser.add_argument("--data", type=Path, default=Path("data/synthetic"), help="data set: folder with datalist.json")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=20.0, help="about how long to measure")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    given = parser.parse_args(arguments)
    if lacking := missing():
        print(f"missing here: {', '.join(lacking)}: name them in benchmarks/gpu-wheels.txt and carry their wheels.")
        return 2
    from lazylabels_monai.late import import_late

    import_late()  # MONAI's without what it imports in case it is needed
    for name in NEEDED if given.stage == "imports" else ("torch", "monai"):
        import_module(name)
    import torch

    if torch.device(given.device).type == "cuda" and not torch.cuda.is_available():
        print(f"--device {given.device}: torch {torch.__version__} sees no GPU here.")
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    record = Record(given.out / f"{given.stage}.json", **machine(given.device), quick=given.quick)
    record.add(imports=round(time.monotonic() - _BEGAN, 1))
    if given.stage != "imports":
        STAGES[given.stage](record, given.data, given.device, given.seconds, given.quick)
        record.add(whole=True, took=round(time.monotonic() - _BEGAN, 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
