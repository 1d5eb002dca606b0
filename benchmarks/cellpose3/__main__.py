"""``python -m benchmarks.cellpose3 LABELS OUT``: train on the exact masks among the exported labels, write class maps."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.exported import (
    TRAINED,
    BenchmarkError,
    arguments,
    main,
    read_exported,
    read_image,
    write_about,
    write_predictions,
)
from benchmarks.masks import class_map, exact_masks, grey

if TYPE_CHECKING:
    from cellpose.models import CellposeModel
    from cellpose.resnet_torch import CPnet

#: Epochs up to which Cellpose's learning rate depends on no later end: it rises over ten of them and stays. With more of them
#: it falls to a thousandth over the last 50, from :data:`LONG` on over the last 100.
CONSTANT, LONG = 100, 300
#: Steps of a network that is thrown away, by which a step is timed, the first one not counted.
_TIMED = 6

#: What ``eval`` may take an object by, its own defaults first, which win where all are alike: how far from its flows it may be
#: (0: any), and from which logit on a pixel is in one.
THRESHOLDS = [
    {"flow_threshold": flow, "cellprob_threshold": inside} for flow in (0.4, 0.0) for inside in (0.0, -1.0, -2.0, 1.0, 2.0)
]
#: Images that choose among them.
_CHOOSING = 6

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]


class _TimeOverError(Exception):
    """Ends Cellpose's loop, which has no callback."""


def new_model(seed: int) -> CellposeModel:
    """Cellpose 3's default network with random weights."""
    import torch
    from cellpose.models import CellposeModel

    torch.manual_seed(seed)
    return CellposeModel()


@contextmanager
def watched(net: CPnet, before_step: Callable[[], None], losses: list[float]) -> Iterator[None]:
    """Within, ``before_step`` is called before each step of ``train_seg``, and ``losses`` gets each step's loss."""
    from cellpose import train

    loss_of = train._loss_fn_seg

    def noted(*given: Any) -> Any:
        loss = loss_of(*given)
        losses.append(loss.item())
        return loss

    hook, train._loss_fn_seg = net.register_forward_pre_hook(lambda *_: before_step()), noted
    try:
        yield
    finally:
        train._loss_fn_seg = loss_of
        hook.remove()


def fit(net: CPnet, given: Pairs, options: argparse.Namespace, epochs: int, **more: Any) -> None:
    """Cellpose's training by the defaults of ``train_seg``, but that images with fewer than five objects teach, too."""
    from cellpose.train import train_seg

    images, ids = ([pair[part] for pair in given] for part in (0, 1))
    settings = {"batch_size": options.batch, "rescale": options.rescale, "n_epochs": epochs, "min_train_masks": 1}
    with TemporaryDirectory() as folder:  # where it writes weights that nobody reads
        train_seg(net, images, ids, channels=[0, 0], save_path=folder, **settings, **more)


def timed(given: Pairs, options: argparse.Namespace, **more: Any) -> tuple[float, float]:
    """CPU seconds before the first step and of a step, of a network that is thrown away."""
    begun, moments = time.process_time(), []
    net = new_model(options.seed).net
    with watched(net, lambda: moments.append(time.process_time()), []):
        fit(net, given, options, _TIMED + 1, **more)
    return moments[0] - begun, float(np.median(np.diff(moments)[1:]))


def planned(left: float, step: float) -> int:
    """Epochs to ask for where those that fit into ``left`` seconds at ``step`` seconds each shall be done.

    Some more: a timing errs by a tenth on a busy machine, and what is over its time is left out. At most half of those over
    which the rate falls, so that it has fallen to a thirtieth where the timing was right.
    """
    fitting = int(left / step)
    return max(CONSTANT, fitting + min(round(0.15 * fitting), 25 if fitting <= LONG else 50))


def learn(net: CPnet, given: Pairs, options: argparse.Namespace) -> tuple[list[float], dict[str, Any]]:
    """Train to the end of the epochs, or of the minutes where such are given.

    Then an epoch is one batch: the learning rate rises over ten epochs, which would take longer than that with all images in
    each. As many epochs as the time left should do, and a few more, are asked for, by which Cellpose plans how the rate falls;
    what is over its time is left out. Up to :data:`CONSTANT` the rate depends on no end, so that the time alone decides.

    Returns:
        the losses of the steps, and settings.
    """
    losses: list[float] = []
    if not options.minutes:
        with watched(net, lambda: None, losses):
            fit(net, given, options, options.epochs)
        return losses, {"epochs": options.epochs, TRAINED: round(time.process_time() / 60, 2)}
    batch, begun = min(options.batch, len(given)), time.process_time()
    ahead, step = timed(given, options, nimg_per_epoch=batch)
    aside = time.process_time() - begun
    end = options.minutes * 60 + aside
    epochs = planned(end - time.process_time() - ahead, step)

    def stop() -> None:
        if losses and time.process_time() > end:
            raise _TimeOverError

    with watched(net, stop, losses), suppress(_TimeOverError):
        fit(net, given, options, epochs, nimg_per_epoch=batch)
    settings = {"epochs of a batch": len(losses), "planned": epochs, "seconds of timing, not counted": round(aside)}
    return losses, {**settings, TRAINED: round((time.process_time() - aside) / 60, 2)}


def thresholds(model: CellposeModel, given: Pairs, seen: Mapping[str, Any]) -> dict[str, float]:
    """Of :data:`THRESHOLDS` those by which the objects of the images that it learnt from are found best.

    Judged as StarDist judges its own: true positives among all that are found or missed, a mean over three IoUs.

    Args:
        model: trained.
        given: images and ids, of which the first few are taken.
        seen: how it is shown images, settings of ``eval``.
    """
    from cellpose.dynamics import resize_and_compute_masks
    from cellpose.metrics import average_precision

    pairs = given[:_CHOOSING]
    flows = [model.eval(image, **seen, compute_masks=False)[1] for image, _ in pairs]
    steps = 200 * (seen["diameter"] or model.diam_labels) / model.diam_mean  # as eval() follows the flows

    def score(limits: Mapping[str, float]) -> float:
        found = [
            resize_and_compute_masks(flow, inside, niter=steps, device=model.device, **limits) for _, flow, inside in flows
        ]
        hit, wrong, missed = average_precision([ids for _, ids in pairs], found, threshold=[0.3, 0.5, 0.7])[1:]
        return float(np.mean(hit.sum(0) / (hit + wrong + missed).sum(0)))

    return dict(max(THRESHOLDS, key=score))


def run(options: argparse.Namespace) -> None:
    """Train until the time is over, predict."""
    import torch
    from cellpose.models import CellposeModel

    if threads := int(os.environ.get("OMP_NUM_THREADS", 0)):
        torch.set_num_threads(threads)
    exported = read_exported(options.labels)
    given = [(grey(image), ids) for image, ids in exact_masks(exported, "Cellpose") if ids.any()]
    if not given:
        raise BenchmarkError(f"{exported.folder}: no exact mask holds an object; Cellpose needs some.")
    net = new_model(options.seed).net
    losses, learnt = learn(net, given, options)
    weights = options.out / "cellpose"
    net.save_model(str(weights))
    model = CellposeModel(pretrained_model=str(weights))  # knows the diameters of what the network learnt from

    # without a diameter: that of the training's objects becomes the one to which training rescaled them
    seen = {"channels": [0, 0], "diameter": None if options.rescale else model.diam_mean}
    limits = thresholds(model, given, seen)

    def classify(path: Path) -> np.ndarray:
        return class_map(model.eval(grey(read_image(path)), **seen, **limits)[0], exported.interface)

    write_predictions(exported, options.out, classify, partial(print, flush=True))
    settings = {"images": len(given), "batch": options.batch, "rescaled by diameter": options.rescale}
    settings |= {**limits, **learnt}
    curve = [[step, round(loss, 4)] for step, loss in enumerate(losses, 1)]
    write_about(options.out, ("cellpose", "torch"), settings, curves={"loss/Cellpose": curve})


def parse() -> argparse.ArgumentParser:
    """The command line."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--minutes", type=float, default=0, help="of a core, after which training ends; 0: when epochs do")
    parser.add_argument("--epochs", type=int, default=500, help="of all images, without --minutes")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rescale", action=argparse.BooleanOptionalAction, default=True, help="images to a diameter of 30")
    return parser


if __name__ == "__main__":
    main(run, parse())
