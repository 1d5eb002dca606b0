"""Training the starter: pictures lie on the device, generated ones come in as they are made, and each run has so many seconds.

Several runs follow one another, the starter itself and those that leave one set out, which tell what it does for a set it
has not seen. Whatever happens, ``results.json`` and the weights of each run's last validation are in the output folder.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from lazylabels_monai.atomic import write_text
from lazylabels_monai.bundle_folder import find_overlay
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.losses import MaskedMultiTaskLoss
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.precision import trains_channels_last, use_bfloat16
from lazylabels_monai.starter.crops import Canvases, labels_of, random_crops, tiles, varied
from lazylabels_monai.starter.sets import (
    CLASS,
    DETECTION,
    GENERATED,
    SEGMENTATION,
    SEPARATION,
    SETS,
    generated,
    produce,
    unpack,
)
from lazylabels_monai.tasks import task_slices
from lazylabels_monai.trained import write_classes, write_network

__all__ = [
    "NETWORK",
    "RESULTS_FILE",
    "SHARES",
    "WINDOW",
    "Run",
    "Settings",
    "half_precision",
    "make",
    "parsed_plan",
    "write_beside",
]

#: The starter's network: that of ``configs/cpu.yaml``, with one class of objects.
NETWORK = {
    "spatial_dims": 2,
    "in_channels": 1,
    "channels": yaml.safe_load(find_overlay("cpu.yaml").read_text(encoding="utf-8"))["channels"],
    "num_multitask_blocks": 4,
    "norm": ["INSTANCE", {"affine": True}],
    "dropout": 0.0,
    "tasks": ["segmentation", "detection", "separation"],
}
NUM_CLASSES = 2
#: Side in pixels of the windows in which a prediction sees images.
WINDOW = 768

#: How often crops of a set are drawn; a set left out gives its share to the others.
SHARES = {"emps": 0.26, "superalloy": 0.07, "powder": 0.05, "nuclei_fluo": 0.13, "builtin": 0.14, "scenes": 0.35}

RESULTS_FILE = "results.json"


@dataclass(frozen=True)
class Settings:
    """How the runs train.

    Args:
        device: where.
        seconds: of the whole command; runs get their parts of what is left.
        batch_size: crops of a step.
        crop_size: in pixels, a multiple of 16.
        learning_rate: its highest value, after a linear start; a cosine over the run's seconds takes it to zero.
        warm_up: steps of the start.
        weight_decay: of AdamW.
        ema: decay of the mean of the weights that is kept, reached after a start of its own.
        dice_weight: of the Dice loss.
        slots: generated pictures on the device at a time.
        workers: processes that make them; 0 makes a few before the first run.
        validations: of each run, evenly over its seconds.
        seed: of weights, draws and generated pictures.
        compile: whether ``torch.compile`` is tried.
        most_steps: of a run, for a try.
    """

    device: str = "cuda"
    seconds: float = 540
    batch_size: int = 64
    crop_size: int = 192
    learning_rate: float = 2.0e-3
    warm_up: int = 200
    weight_decay: float = 1.0e-2
    ema: float = 0.998
    dice_weight: float = 0.5
    slots: int = 4096
    workers: int = 14
    validations: int = 4
    seed: int = 0
    compile: bool = True
    most_steps: int | None = None


@dataclass
class Run:
    """One training.

    Args:
        name: ``final``, or ``without_SET``.
        share: of the seconds.
        without: the set left out.
        record: what is known of it.
    """

    name: str
    share: float
    without: str | None = None
    record: dict = field(default_factory=dict)


def parsed_plan(text: str) -> list[Run]:
    """Runs from ``"final:230,emps:75"``: a set's name is the run without it; numbers are shares of the time.

    Raises:
        LazyLabelsError: for a name that is no set, and for what is no number above 0.
    """
    runs = []
    for part in text.split(","):
        name, _, share = part.strip().partition(":")
        known = ("final", *SHARES)
        try:
            weight = float(share or 1)
        except ValueError:
            weight = 0.0
        if name not in known or not weight > 0:
            raise LazyLabelsError(f"plan '{part}' must be one of {', '.join(known)} and a number above 0, such as emps:75.")
        runs.append(Run("final", weight) if name == "final" else Run(f"without_{name}", weight, name))
    return runs


# ------------------------------------------------------------------------------------------------------- pictures


class Pictures:
    """All pictures on the device: those of the sets, and as many generated ones as fit, the oldest replaced first.

    Args:
        source: what ``pack`` wrote.
        settings: see :class:`Settings`.
    """

    def __init__(self, source: Path, settings: Settings) -> None:
        self.settings = settings
        self.queue, self.processes = None, []
        if settings.workers:
            context = multiprocessing.get_context("spawn")
            self.queue = context.Queue(2048)
            arguments = [(self.queue, settings.seed, k) for k in range(settings.workers)]
            self.processes = [context.Process(target=produce, args=own, daemon=True) for own in arguments]
            for process in self.processes:
                process.start()
        held: dict[str, list[tuple[str, np.ndarray, np.ndarray]]] = {"training": [], "validation": [], "unseen": []}
        for picture in unpack(source):
            for image, code in tiles(picture.image, picture.code):
                held[picture.part].append((picture.domain, image, code))
        self.domains = [domain for domain, _, _ in held["training"]] + [""] * settings.slots
        self.first = len(held["training"])
        self.training = Canvases(len(self.domains), settings.device)
        self._fill(self.training, held["training"])
        checked = held["validation"] + held["unseen"]
        self.checked_domains = [domain for domain, _, _ in checked]
        self.checked = Canvases(len(checked), settings.device)
        self._fill(self.checked, checked)
        self.made = dict.fromkeys(GENERATED, 0)
        # a ring of slots for each generator, the larger for the one that is drawn more
        ends = np.cumsum([settings.slots * SHARES[d] / sum(SHARES[g] for g in GENERATED) for d in GENERATED]).astype(int)
        self.rings = dict(zip(GENERATED, zip([0, *ends[:-1]], ends, strict=True), strict=True))
        if not settings.workers:
            made = [(d, *generated(d, (1 + settings.seed, 0, k), (96, 96))) for k in range(4) for d in GENERATED]
            self._take(made)

    @staticmethod
    def _fill(canvases: Canvases, pictures: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> None:
        for start in range(0, len(pictures), 128):
            part = pictures[start : start + 128]
            canvases.put(range(start, start + len(part)), [(image, code) for _, image, code in part])

    def _take(self, made: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> None:
        # within one batch a slot may come round again only in tiny pools; the last one then stays
        placed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for domain, image, code in made:
            low, high = self.rings[domain]
            slot = self.first + int(low + self.made[domain] % (high - low))
            placed[slot] = (image, code)
            self.domains[slot] = domain
            self.made[domain] += 1
        self.training.put(list(placed), list(placed.values()))

    def refill(self, most: int = 48) -> int:
        """Put what the workers have made on the device; how many pictures these were."""
        made = []
        with contextlib.suppress(queue.Empty):
            while self.queue is not None and len(made) < most:
                made.append(self.queue.get_nowait())
        self._take(made)
        return len(made)

    def weights(self, without: str | None) -> Tensor:
        """How likely each canvas is to be drawn."""
        names, place, count = np.unique(self.domains, return_inverse=True, return_counts=True)
        share = np.array([0.0 if name in ("", without) else SHARES[name] for name in names])
        if share.sum() == 0:
            raise LazyLabelsError("no pictures are left to train on: pack more, or leave out another set.")
        return torch.as_tensor((share / share.sum() / count)[place], dtype=torch.float32, device=self.settings.device)

    def close(self) -> None:
        """End the workers."""
        for process in self.processes:
            process.terminate()
        if self.queue is not None:
            self.queue.cancel_join_thread()


# ------------------------------------------------------------------------------------------------------- training


class _Mean:
    """A running mean of a network's weights."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = MultiTaskUNet(num_classes=NUM_CLASSES, **NETWORK).to(next(network.parameters()).device)
        self.network.load_state_dict(network.state_dict())
        self.network.requires_grad_(False).eval()
        self.pairs = list(self.network.parameters()), list(network.parameters())
        self.decay, self.count = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        decay = min(self.decay, (1 + self.count) / (20 + self.count))
        self.count += 1
        torch._foreach_lerp_(self.pairs[0], self.pairs[1], 1 - decay)


def half_precision(network: nn.Module) -> dict[str, Tensor]:
    """The state dict in half precision; weights that are shared stay shared, so that each is stored once."""
    halves: dict[int, Tensor] = {}
    state = {}
    for name, value in network.state_dict().items():
        if value.data_ptr() not in halves:
            halves[value.data_ptr()] = value.detach().cpu().half()
        state[name] = halves[value.data_ptr()]
    return state


def _autocast(device: torch.device) -> contextlib.AbstractContextManager:
    enabled = device.type == "cuda" or use_bfloat16("auto", device)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@torch.no_grad()
def validated(network: nn.Module, pictures: Pictures) -> dict[str, dict[str, float]]:
    """Scores of each set's validation pictures: mean Dice of an image, and Dice of all pixels for each task."""
    slices = task_slices(NUM_CLASSES)
    device = torch.device(pictures.settings.device)
    counts: dict[str, list[Tensor]] = {}
    for slot, domain in enumerate(pictures.checked_domains):
        image, code = pictures.checked.whole(slot)
        with _autocast(device):
            logits = network(image)[0].float()
        row = []
        for task, bit in (("segmentation", SEGMENTATION), ("detection", DETECTION), ("separation", SEPARATION)):
            said, true = logits[slices[task]].argmax(0) > 0, (code & bit) > 0
            row.append(torch.stack([(said & true).sum(), said.sum() + true.sum()]).float())
        counts.setdefault(domain, []).append(torch.stack(row))
    found = {}
    for domain, rows in counts.items():
        table = torch.stack(rows).cpu().numpy()  # image, task, (hit, sum)
        share = np.where(table[..., 1] > 0, 2 * table[..., 0] / np.maximum(table[..., 1], 1), 1)
        pooled = 2 * table[..., 0].sum(0) / np.maximum(table[..., 1].sum(0), 1)
        names = ("segmentation", "detection", "separation")
        found[domain] = {"dice": float(share[:, 0].mean()), **{n: float(p) for n, p in zip(names, pooled, strict=True)}}
    return {domain: {name: round(value, 4) for name, value in scores.items()} for domain, scores in found.items()}


class Trainer:
    """What all runs share: pictures, loss, and how the network is best run on this device."""

    def __init__(self, pictures: Pictures, settings: Settings) -> None:
        self.pictures, self.settings = pictures, settings
        self.device = torch.device(settings.device)
        self.loss = MaskedMultiTaskLoss(
            NUM_CLASSES,
            class_weights={"separation": [1.0, 10.0]},
            pixel_mean="all",
            dice_weight=settings.dice_weight,
            check_labels=False,
        ).to(self.device)
        self.generator = torch.Generator(self.device).manual_seed(settings.seed)
        torch.manual_seed(settings.seed)
        self.network = MultiTaskUNet(num_classes=NUM_CLASSES, zero_init_residual=True, **NETWORK).to(self.device)
        faster = trains_channels_last(NETWORK["spatial_dims"], self.device, "auto")  # where there is a GPU it is tried, too
        self.memory_format = torch.channels_last if faster else torch.contiguous_format
        self.network.to(memory_format=self.memory_format)
        self.forward = self.network
        self.speeds: dict[str, float] = {}

    def begin(self, seed: int) -> None:
        """New weights in the same network, so that what was compiled for it holds on."""
        torch.manual_seed(seed)
        fresh = MultiTaskUNet(num_classes=NUM_CLASSES, zero_init_residual=True, **NETWORK)
        self.network.load_state_dict(fresh.state_dict())
        self.generator.manual_seed(seed)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
            fused=self.device.type == "cuda",
        )

    def batch(self, weights: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Crops and their labels."""
        slots = torch.multinomial(weights, self.settings.batch_size, replacement=True, generator=self.generator)
        image, code = random_crops(self.pictures.training, slots, self.settings.crop_size, self.generator)
        return varied(image, self.generator).contiguous(memory_format=self.memory_format), labels_of(code)

    def step(self, weights: Tensor, rate: float) -> Tensor:
        """One step of training; its loss, which nobody has waited for."""
        image, labels = self.batch(weights)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with _autocast(self.device):
            logits = self.forward(image)
        loss = self.loss(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        return loss.detach()

    def _timed(self, weights: Tensor, steps: int = 8) -> float:
        """Crops a second."""
        for _ in range(3):
            self.step(weights, 1e-4)
        _wait(self.device)
        start = time.monotonic()
        for _ in range(steps):
            self.step(weights, 1e-4)
        _wait(self.device)
        return steps * self.settings.batch_size / (time.monotonic() - start)

    def choose(self) -> None:
        """On a GPU try memory formats and compiling, and keep what is fastest."""
        self.begin(self.settings.seed)
        if self.device.type != "cuda":
            return
        weights = self.pictures.weights(None)
        ways = [("contiguous", torch.contiguous_format, False), ("channels_last", torch.channels_last, False)]
        if self.settings.compile:
            ways.append(("compiled", None, True))
        for name, memory_format, compiled in ways:
            try:
                if memory_format is None:  # compiled: in the format that was faster without
                    memory_format = (
                        torch.channels_last
                        if max(self.speeds, key=self.speeds.get) == "channels_last"
                        else torch.contiguous_format
                    )
                start = time.monotonic()
                self.memory_format = memory_format
                self.network.to(memory_format=memory_format)
                self.begin(self.settings.seed)  # the optimizer's state takes the format of the weights it first meets
                self.forward = torch.compile(self.network) if compiled else self.network
                self.speeds[name] = round(self._timed(weights), 1)
                print(f"{name}: {self.speeds[name]:.0f} crops/s, tried for {time.monotonic() - start:.1f} s", flush=True)
            except Exception as error:  # whatever a compiler may raise: the plain way works
                print(f"{name} failed: {type(error).__name__}: {str(error)[:400]}", flush=True)
        if not self.speeds:
            raise LazyLabelsError("no way of training works on this device; what failed is printed above.")
        best = max(self.speeds, key=self.speeds.get)
        eager = max((name for name in self.speeds if name != "compiled"), key=self.speeds.get, default=best)
        self.memory_format = torch.channels_last if eager == "channels_last" else torch.contiguous_format
        self.network.to(memory_format=self.memory_format)
        self.forward = self.forward if best == "compiled" else self.network
        print(f"chosen: {best} ({eager})", flush=True)

    def run(self, run: Run, seconds: float, save: Path) -> Iterator[dict]:
        """Train for so many seconds; gives the record after each validation."""
        settings = self.settings
        self.begin(settings.seed)
        mean = _Mean(self.network, settings.ema)
        start, step, losses = time.monotonic(), 0, []
        marks = [(k + 1) / settings.validations for k in range(settings.validations)]
        run.record.update(name=run.name, without=run.without, seconds_planned=round(seconds, 1), losses=[], validations=[])
        weights = self.pictures.weights(run.without)
        waited = 0.0
        while marks:
            elapsed = time.monotonic() - start
            progress = min(1.0, elapsed / seconds)
            if settings.most_steps is not None:
                progress = max(progress, step / settings.most_steps)
            if progress >= marks[0]:
                _wait(self.device)
                before = time.monotonic()
                while marks and progress >= marks[0]:
                    marks.pop(0)
                torch.save(half_precision(mean.network), save)
                scores = validated(mean.network, self.pictures)
                record = {
                    "seconds": round(time.monotonic() - start, 1),
                    "step": step,
                    "crops_per_second": round(step * settings.batch_size / max(before - start - waited, 1e-9), 1),
                    "pictures_made": dict(self.pictures.made),
                    "scores": scores,
                }
                if self.device.type == "cuda":
                    record["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
                run.record["validations"].append(record)
                waited += time.monotonic() - before
                yield record
                continue
            rate = settings.learning_rate * min(1.0, (step + 1) / settings.warm_up) * 0.5 * (1 + np.cos(np.pi * progress))
            loss = self.step(weights, float(rate))
            mean.update()
            losses.append(loss)
            step += 1
            if step % 10 == 0 and self.pictures.refill() and step % 50 == 0:
                weights = self.pictures.weights(run.without)
            if step % 25 == 0:  # waits for the device, so that no more than this runs ahead
                value = torch.stack(losses).mean().item()
                losses.clear()
                if not np.isfinite(value):
                    raise LazyLabelsError(f"the loss of {run.name} is {value} at step {step}: lower the learning rate.")
                run.record["losses"].append([step, round(time.monotonic() - start, 1), round(value, 4)])


def write_beside(folder: Path, network: Mapping[str, Any], crop_size: int) -> None:
    """Write what predictions and trainings must know beside weights of ``make``: network, windows, and the one class.

    Args:
        folder: of the weights.
        network: settings of :class:`~lazylabels_monai.networks.MultiTaskUNet`.
        crop_size: side in pixels of the crops that they learnt from.
    """
    # as trainings have it: a hot pixel of a camera must not turn the whole picture gray
    seen = {"crop_size": [crop_size] * 2, "window_size": [WINDOW] * 2, "normalization": "percentiles"}
    write_network(folder, MultiTaskUNet(num_classes=NUM_CLASSES, **network), **network, **seen)
    write_classes(folder, [CLASS])  # a training that begins from them takes it for every class


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def make(source: Path, out: Path, plan: Sequence[Run], settings: Settings, about: Mapping[str, str] | None = None) -> dict:
    """All runs of a plan.

    Args:
        source: what ``pack`` wrote.
        out: folder for ``results.json``, ``classes.json`` and the weights, ``<run>.pt``.
        plan: what to train, in this order.
        settings: see :class:`Settings`.
        about: recorded, such as the commit.

    Returns:
        What ``results.json`` holds.
    """
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    write_beside(out, NETWORK, settings.crop_size)
    device = torch.device(settings.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    results = {
        "about": {"device": name, "torch": torch.__version__, **(about or {})},
        "settings": asdict(settings),
        "network": NETWORK,
        "shares": SHARES,
        "sets": {key: value.licence for key, value in SETS.items()},
        "runs": [run.record for run in plan],
    }

    def write() -> None:
        write_text(out / RESULTS_FILE, json.dumps(results, indent=1) + "\n")

    pictures = Pictures(source, settings)
    try:
        trainer = Trainer(pictures, settings)
        names, counts = np.unique(pictures.domains[: pictures.first], return_counts=True)
        results["canvases"] = dict(zip(names.tolist(), counts.tolist(), strict=True))
        print(f"pictures on the device after {time.monotonic() - began:.1f} s: {results['canvases']}", flush=True)
        trainer.choose()
        results["crops_per_second"] = trainer.speeds
        for k, run in enumerate(plan):
            left = settings.seconds - (time.monotonic() - began)
            seconds = left * run.share / sum(later.share for later in plan[k:])
            # the last validation and saving come after the run's seconds
            seconds = max(1.0, seconds - (2.0 if device.type == "cuda" else 0.0))
            print(f"{run.name}: {seconds:.0f} s", flush=True)
            try:
                for record in trainer.run(run, seconds, out / f"{run.name}.pt"):
                    dice = {domain: scores["dice"] for domain, scores in record["scores"].items()}
                    print(
                        f"  {record['seconds']} s, step {record['step']}, {record['crops_per_second']} crops/s, Dice {dice}",
                        flush=True,
                    )
                    write()
            except (RuntimeError, LazyLabelsError) as error:
                run.record["error"] = str(error)[:500]
                print(f"  {run.name} failed: {error}", flush=True)
            write()
        results["about"]["seconds"] = round(time.monotonic() - began, 1)
        write()
    finally:
        pictures.close()
    return results


def leave(code: int = 0) -> None:
    """End the process at once: nothing waits for workers that still hand over pictures."""
    os._exit(code)
