"""A network that stays loaded and answers for pictures as they are on the screen: the process of
:class:`~lazylabels_monai.interactive.predictor.WarmPredictor`, ``python -m lazylabels_monai.interactive.answering``.

First come quick answers, made with windows as large as what is asked for, so that little is computed twice: sooner than
``lazylabels predict`` and nearly the same, but their objects end where a region does. The last answer to a request is of the
whole picture and exactly that of ``predict``: the same pre-processing, windows and objects.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lazylabels_monai.errors import LazyLabelsError, explain
from lazylabels_monai.json_values import as_json
from lazylabels_monai.threads import wait_asleep

if TYPE_CHECKING:  # a window imports this for the results, and its process need not know torch
    import torch

    from lazylabels_monai.predicting.model import Model

__all__ = ["Answerer", "Load", "Prediction", "Request", "regions"]

#: Pixels up to which a picture is answered as a whole; a larger one in tiles.
WHOLE = 1 << 20
#: After a last answer, quick ones alone for so many times what it took, as long as others are asked for.
RARE = 4.0
#: Side of a tile in pixels.
TILE = 512
#: Longest side of a window in pixels, unless an answer is to be that of ``predict``, and what of it overlaps.
WINDOW, OVERLAP = 768, 0.25
#: Pictures that are kept, ready for the network.
PICTURES = 4
#: Pixels around a region that its answer looks at, too.
MARGIN = 64

Region = tuple[slice, slice]


@dataclass(frozen=True)
class Load:
    """Take these weights from now on."""

    weights: str


@dataclass(frozen=True)
class Request:
    """Answer for a picture: what is in view, then the rest, and last of all the whole picture as ``lazylabels predict`` does.

    Args:
        name: of the picture.
        picture: (H, W[, C]) as :func:`~lazylabels_monai.images.files.read_image` gives it; None: that of this name.
        view: what is on the screen; None: all of it.
        token: comes back with the answers.
        volume: the picture is a volume (Z, Y, X), which gets that last answer alone.
    """

    name: str
    picture: np.ndarray | None
    view: Region | None
    token: Any
    volume: bool = False


@dataclass(frozen=True)
class Prediction:
    """An answer for a region of a picture; of a volume (Z, Y, X) stands for (H, W), and the region is all of it.

    Args:
        token: of the request.
        entry_name: of the picture.
        region: rows and columns of the picture that the arrays are of.
        segmentation: (classes, H, W) float32 probabilities, the background first; None where the network has not learned it.
        detection: likewise.
        separation: (H, W) float32 probability of an interface.
        objects: (H, W) int32 ids, 0 outside; unique within the quick answers of a token, begun anew by one of all the picture.
            An object that reaches out of its region is cut off there.
        classes: class by id, (highest id + 1,) int; 0 for ids of other regions.
        uncertainty: (H, W) float32, predictive entropy of the segmentation, 0 to 1.
        seconds: that it took.
        weights: path of the weights.
        last: whether no further answer to this request comes. One that is the last and of all the picture is that of
            ``lazylabels predict``.
        sentence: what went wrong, and then there are no arrays; else empty.
    """

    token: Any
    entry_name: str
    region: Region = (slice(0, 0), slice(0, 0))
    segmentation: np.ndarray | None = None
    detection: np.ndarray | None = None
    separation: np.ndarray | None = None
    objects: np.ndarray | None = None
    classes: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    seconds: float = 0.0
    weights: str = ""
    last: bool = False
    sentence: str = ""


class _Abandoned(Exception):
    """An answer is not wanted any more."""


def regions(shape: tuple[int, int], view: Region | None) -> list[Region]:
    """What is answered quickly of a picture, one after the other: what is in view, then everything, or tile by tile around it.

    Args:
        shape: (H, W).
        view: rows and columns on the screen; cut to the picture. None: nothing in particular.
    """
    everything = (slice(0, shape[0]), slice(0, shape[1]))
    seen = None
    if view is not None:
        seen = tuple(
            slice(max(0, side.start or 0), min(n, n if side.stop is None else side.stop))
            for side, n in zip(view, shape, strict=True)
        )
        seen = None if any(side.stop <= side.start for side in seen) else seen
    if seen == everything or (seen is None and shape[0] * shape[1] <= WHOLE):
        return [everything]
    found = [] if seen is None else [seen]
    if shape[0] * shape[1] <= WHOLE:
        return [*found, everything]
    centre = [(side.start + side.stop) / 2 for side in (seen or everything)]
    tiles = [
        (slice(top, min(top + TILE, shape[0])), slice(left, min(left + TILE, shape[1])))
        for top in range(0, shape[0], TILE)
        for left in range(0, shape[1], TILE)
    ]
    tiles = [tile for tile in tiles if seen is None or not _inside(tile, seen)]
    return [
        *found,
        *sorted(tiles, key=lambda t: sum(((s.start + s.stop) / 2 - c) ** 2 for s, c in zip(t, centre, strict=True))),
    ]


def _turned(array: np.ndarray) -> np.ndarray:
    """(W, H) as (H, W), (X, Y, Z) as (Z, Y, X)."""
    return np.ascontiguousarray(array.T)


def _inside(tile: Region, view: Region) -> bool:
    return all(v.start <= t.start and t.stop <= v.stop for t, v in zip(tile, view, strict=True))


class Answerer:
    """A network and the pictures that it was asked for last.

    Args:
        overrides: ids of ``inference.yaml`` and their values, such as ``device``.
    """

    def __init__(self, **overrides: Any) -> None:
        self.overrides = overrides
        self.weights: Path | None = None
        self.model: Model | None = None
        self._about: dict[str, Any] = {}
        self._pictures: dict[str, tuple[np.ndarray, Any]] = {}
        self._cut_short = ""  # the picture whose last request was superseded
        self._rests = ("", 0.0)  # the picture on whose last answer is not insisted, until when

    def load(self, weights: str | os.PathLike) -> None:
        """Take weights; of the same network as before, only its numbers are read.

        Raises:
            LazyLabelsError: when they cannot be used; those from before stay.
        """
        from lazylabels_monai.predicting.model import Model
        from lazylabels_monai.trained import load_weights, trained_settings, trained_values

        weights = Path(weights)
        about = as_json({k: v for k, v in trained_values(weights).items() if k != "seen"})
        settings = trained_settings(weights)
        if self.model is not None and about == self._about:
            load_weights(self.model.network, weights)
            self.model.network.eval()
        else:
            self.model = Model(weights, overrides=self.overrides)
            self._pictures = {name: (picture, None) for name, (picture, _) in self._pictures.items()}
        self.weights, self._about, self.settings = weights, about, settings

    def keep(self, name: str, picture: np.ndarray) -> None:
        """Remember a picture; the same array as before is ready already."""
        if name in self._pictures and self._pictures[name][0] is picture:
            return
        _remember(self._pictures, name, (picture, None))

    def answers(
        self,
        request: Request,
        superseded: Callable[[], bool] = lambda: False,
        abandoned: Callable[[], bool] = lambda: False,
    ) -> Iterator[Prediction]:
        """The answers to a request: what is in view first, all of the picture as ``lazylabels predict`` answers it last.

        Where new weights come sooner than tiles are answered, the next request for the same picture does without tiles, and its
        last answer is waited for, whatever is asked meanwhile about this picture; that takes a fifth of the time at most
        (:data:`RARE`), so that what is in view follows the training.

        Args:
            request: what is asked.
            superseded: whether something else is asked by now; asked between two quick answers.
            abandoned: whether the answer to this request is of no use any more, as another picture is in view; asked while the
                last answer is computed.

        Raises:
            LazyLabelsError: when there are no weights, or the picture is not known or cannot be used.
        """
        if self.model is None:
            raise LazyLabelsError("there are no weights to predict with: train first, or load some.")
        if request.picture is not None:
            self.keep(request.name, request.picture)
        if request.name not in self._pictures:
            raise LazyLabelsError(f"picture '{request.name}' is not known any more: show it again.")
        if request.volume != (self._about.get("spatial_dims", 2) == 3):
            known, asked = ("pictures", "a volume") if request.volume else ("volumes", "a picture")
            raise LazyLabelsError(
                f"the weights '{self.weights}' are for {known} and this is {asked}: mark some objects and train."
            )
        if request.volume:
            yield self._answer_volume(request)
            return
        quick, exact = self._ways(request)
        rests = request.name == self._rests[0] and time.monotonic() < self._rests[1]
        patient = request.name == self._cut_short and not rests
        ids, self._cut_short = 0, request.name
        for number, region in enumerate(quick, 1):
            found = self._answer(request, region, ids, number == len(quick) and not exact)
            ids = len(found.classes) - 1 if found.classes is not None else 0
            yield found
            if superseded() and not patient:
                return
        self._cut_short = ""
        if exact:
            everything = tuple(slice(0, side) for side in self._pictures[request.name][0].shape[:2])
            try:
                found = self._answer(request, everything, 0, True, True, abandoned)
            except _Abandoned:
                return
            self._rests = (request.name, time.monotonic() + RARE * found.seconds)
            yield found

    def _ways(self, request: Request) -> tuple[list[Region], bool]:
        """What is answered quickly, and whether an exact answer of everything comes after that."""
        shape = self._pictures[request.name][0].shape[:2]
        everything = (slice(0, shape[0]), slice(0, shape[1]))
        quick = regions(shape, request.view)
        if request.name == self._cut_short:
            quick = quick[:1]
        if quick[-1] != everything:
            return quick, True
        size = self._prepared(request.name).shape[2:]
        # with the same windows, and ids that begin anew, the quick one is exact
        return (quick, False) if self._windows(size, False) == self._windows(size, True) else (quick, True)

    def _windows(self, size: Sequence[int], exact: bool) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Sides of the windows in which (W, H) pixels are answered, and what of them overlaps."""
        from monai.utils import fall_back_tuple

        from lazylabels_monai.inferers import even_overlap

        inferer = self.model.inferer
        asked, overlap = (inferer.roi_size, inferer.overlap) if exact else ((WINDOW,) * len(size), OVERLAP)
        sides = tuple(map(min, fall_back_tuple(asked, size), size))
        even = even_overlap(size, sides, overlap)
        return sides, tuple(0.0 if side == whole else share for side, whole, share in zip(sides, size, even, strict=True))

    def _answer(
        self,
        request: Request,
        region: Region,
        ids: int,
        last: bool,
        exact: bool = False,
        abandoned: Callable[[], bool] = lambda: False,
    ) -> Prediction:
        import torch

        from lazylabels_monai.images.axes import swap_plane

        started = time.monotonic()
        image = self._prepared(request.name)
        rows, columns = region
        outer = [
            slice(max(0, s.start - MARGIN), min(n, s.stop + MARGIN))
            for s, n in zip(region, swap_plane(image).shape[-2:], strict=True)
        ]
        answer = self._network_says(image[..., outer[1], outer[0]], exact, abandoned)
        inner = [slice(s.start - o.start, s.stop - o.start) for s, o in zip(region, outer, strict=True)]
        answer = torch.as_tensor(answer)[0, :, inner[1], inner[0]].cpu().float()
        if all(side == slice(0, n) for side, n in zip(region, swap_plane(image).shape[-2:], strict=True)):
            ids = 0
        return self._prediction(request, (rows, columns), answer, ids, last, started)

    def _answer_volume(self, request: Request) -> Prediction:
        """As ``predict`` answers it, in windows of the training's size."""
        import torch

        started = time.monotonic()
        answer = torch.as_tensor(self._network_says(self._prepared(request.name, volume=True), True))[0].cpu().float()
        everything = tuple(slice(0, side) for side in reversed(answer.shape[1:]))
        return self._prediction(request, everything, answer, 0, True, started)

    def _prediction(
        self, request: Request, region: tuple[slice, ...], answer: torch.Tensor, ids: int, last: bool, started: float
    ) -> Prediction:
        """What is shown of probabilities in MONAI's order of axes."""
        import torch

        from lazylabels_monai.instances import instance_classes, separate_objects
        from lazylabels_monai.predicting.uncertainty import entropy
        from lazylabels_monai.tasks import INTERFACE, task_slices

        maps = {task: answer[channels] for task, channels in task_slices(self.model.num_classes, self.model.tasks).items()}
        arrays = {task: np.stack([_turned(one) for one in values.numpy()]) for task, values in maps.items()}
        objects = classes = uncertainty = None
        if "segmentation" in maps:
            # in MONAI's order of axes, as `predict` does: ties go by the order of the pixels
            shown = maps["segmentation"].argmax(0).to(torch.uint8).numpy()
            others = [None if task not in maps else maps[task].numpy() for task in ("detection", "separation")]
            made = separate_objects(shown, *others, self.settings)
            found = instance_classes(made, shown)
            objects = _turned(np.where(made > 0, made + ids, 0).astype(np.int32))
            classes = np.r_[np.zeros(ids, np.int64), found]
            uncertainty = _turned(entropy(maps["segmentation"]).numpy()).astype(np.float32)
        separation = arrays.get("separation")
        return Prediction(
            request.token,
            request.name,
            region,
            arrays.get("segmentation"),
            arrays.get("detection"),
            None if separation is None else np.ascontiguousarray(separation[INTERFACE]),
            objects,
            classes,
            uncertainty,
            time.monotonic() - started,
            str(self.weights),
            last,
        )

    def _network_says(self, image: torch.Tensor, exact: bool, abandoned: Callable[[], bool] = lambda: False) -> torch.Tensor:
        """Probabilities (1, sum of classes, W, H)."""
        import torch

        model, on_cpu = self.model, self.model.device.type == "cpu"
        if on_cpu and image.ndim == 4:  # as `predict` does; there is no such order for volumes
            model.network.to(memory_format=torch.channels_last)
        if exact:

            def go_on(*_: Any) -> None:
                if abandoned():
                    raise _Abandoned

            watched = model.network.register_forward_pre_hook(go_on)  # at every window
            try:
                return model.answer({"image": image})
            finally:
                watched.remove()
        inferer = copy(model.inferer)
        inferer.roi_size, inferer.overlap = tuple(min(WINDOW, side) for side in image.shape[2:]), OVERLAP
        with torch.inference_mode(), torch.autocast(model.device.type, enabled=model.amp and not on_cpu):
            return inferer(image.to(model.device), model.network)

    def _prepared(self, name: str, volume: bool = False) -> torch.Tensor:
        """(1, C, W, H), a volume (1, 1, X, Y, Z); normalised over the whole picture, as that of `predict` is."""
        from monai.data import MetaTensor
        from monai.data.utils import list_data_collate

        from lazylabels_monai.images.axes import from_channels_last

        picture, ready = self._pictures[name]
        if ready is None:
            values = (picture.T[None] if volume else from_channels_last(picture)).astype(np.float32)
            sample = {"image": MetaTensor(values, meta={"filename_or_obj": name, "original_channel_dim": 0})}
            ready = list_data_collate([self.model.preprocessing(sample, start=1)])[
                "image"
            ].as_tensor()  # the first one reads the file
            self._pictures[name] = (picture, ready)
        return ready


def main() -> None:
    """Answer what comes in on the standard input, the newest request first; what is printed goes to the standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    wait_asleep()  # while a training wants the cores
    inbox = _Inbox(sys.stdin.buffer)
    answerer = Answerer()
    while True:
        load, request = inbox.take()
        if load is None and request is None:
            return
        name, token = ("", None) if request is None else (request.name, request.token)
        try:
            if load is not None:
                answerer.load(load.weights)
            if request is not None:
                for found in answerer.answers(request, inbox.waiting, lambda of=request: inbox.waits_for_another(of)):
                    _send(answers, found)
        except Exception as error:  # the window goes on, and so do later requests
            _send(answers, Prediction(token, name, weights=str(answerer.weights or ""), last=True, sentence=explain(error)))


class _Inbox:
    """What came in and was not answered yet: the newest weights and the newest request."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._news = stream, threading.Condition()
        self._load: Load | None = None
        self._request: Request | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        pictures: dict[str, np.ndarray] = {}
        while True:
            try:
                message = pickle.load(self._stream)  # of the process that started this one
            except (EOFError, OSError, pickle.UnpicklingError):
                os._exit(0)  # the window is gone, whatever is being computed
            with self._news:
                if isinstance(message, Load):
                    self._load = message
                else:
                    if message.picture is not None:
                        _remember(pictures, message.name, message.picture)
                    # also where the request that brought it is passed over
                    self._request = replace(message, picture=pictures.get(message.name))
                self._news.notify()

    def waiting(self) -> bool:
        """Whether something came in."""
        with self._news:
            return self._request is not None or self._load is not None

    def waits_for_another(self, request: Request) -> bool:
        """Whether another picture than that of a request is asked for: one of another name, or one that was sent anew."""
        with self._news:
            waiting = self._request
            return waiting is not None and (waiting.name != request.name or waiting.picture is not request.picture)

    def take(self) -> tuple[Load | None, Request | None]:
        """Wait for something."""
        with self._news:
            while self._request is None and self._load is None:
                self._news.wait()
            found = self._load, self._request
            self._load = self._request = None
            return found


def _remember(pictures: dict[str, Any], name: str, value: Any) -> None:
    """As the newest of at most :data:`PICTURES`."""
    pictures.pop(name, None)
    while len(pictures) >= PICTURES:
        del pictures[next(iter(pictures))]
    pictures[name] = value


def _send(stream: BinaryIO, answer: Prediction) -> None:
    pickle.dump(answer, stream, protocol=5)
    stream.flush()


if __name__ == "__main__":
    from lazylabels_monai.interactive.answering import main as run  # so that what is sent is of the module's own classes

    run()
