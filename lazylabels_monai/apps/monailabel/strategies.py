"""Which image to label next, for one task: the next one without such a label, or the one most uncertain."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from lazylabels_monai.apps.monailabel.store import images_without, write_datalist
from lazylabels_monai.data.datalist import FILE_NAME
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.suggest import suggest
from lazylabels_monai.tasks import LABELS, TASKS
from lazylabels_monai.trained import bundle_weights, trained_classes

__all__ = ["MostUncertain", "NextImage"]


class NextImage(Strategy):
    """The image without a label for ``task`` that was proposed longest ago; those never proposed first, by name.

    Args:
        task: one of the three.
        description: shown to the user.
    """

    def __init__(self, task: str, description: str | None = None) -> None:
        super().__init__(description or f"the next image without {LABELS[task].name} ({task})")
        self.task = task

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """``{"id": image}``; None where no image lacks the label."""
        waiting = self._waiting(request, datastore)
        return {"id": waiting[0]} if waiting else None

    def _waiting(self, request: dict[str, Any], datastore: Datastore) -> list[str]:
        return sorted(
            images_without(datastore, self.task), key=lambda image: (_proposed(datastore, request["strategy"], image), image)
        )


def _proposed(datastore: Datastore, strategy: str, image: str) -> int:
    """When the server proposed an image for a strategy, which it notes itself; 0: never."""
    return datastore.get_image_info(image).get("strategy", {}).get(strategy, {}).get("ts", 0)


class MostUncertain(NextImage):
    """The image whose label for ``task`` resolves most uncertainty per second of work (:mod:`lazylabels_monai.suggest`).

    The ranking is made once for each ``model.pt``; images that came later, or are beyond the limit, follow after it.

    Args:
        task: one of the three.
        bundle: the app's bundle.
        max_images: at most so many images are predicted for a ranking, those never proposed first; ``max_images`` of a
            request overrides it. The server answers nothing else meanwhile.
    """

    def __init__(self, task: str, bundle: str, max_images: int = 50) -> None:
        super().__init__(task, f"the image whose {LABELS[task].name} resolve most uncertainty per second of work ({task})")
        self.bundle, self.max_images = Path(bundle), max_images
        self._ranking: tuple[float, list[str]] = (0.0, [])

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """``{"id": image}``; None where no image lacks the label."""
        waiting = self._waiting(request, datastore)
        made = bundle_weights(self.bundle).stat().st_mtime
        if waiting and (self._ranking[0] != made or not set(self._ranking[1]) & set(waiting)):
            limit = int(request.get("max_images", self.max_images))
            self._ranking = made, self._rank(waiting[: max(1, limit)], datastore)
        ranks = {image: rank for rank, image in enumerate(self._ranking[1])}

        def place(image: str) -> tuple[int, int, str]:
            # an image that somebody passed over comes again when all were proposed
            return _proposed(datastore, request["strategy"], image), ranks.get(image, len(ranks)), image

        waiting.sort(key=place)
        return {"id": waiting[0]} if waiting else None

    def _rank(self, images: list[str], datastore: Datastore) -> list[str]:
        weights = bundle_weights(self.bundle)
        uris = {datastore.get_image_uri(image): image for image in images}
        items = []
        for uri, image in uris.items():
            # marks tell how many outlines there are to draw
            tags = datastore.get_labels_by_image_id(image)
            items.append({"image": uri, **{tag: datastore.get_label_uri(tags[tag], tag) for tag in TASKS if tag in tags}})
        with tempfile.TemporaryDirectory() as folder:
            write_datalist(Path(folder, FILE_NAME), trained_classes(weights), items)
            found = suggest(folder, Model(weights, self.bundle), tasks=[self.task])
        return [uris[suggestion.image] for suggestion in found.ranked]
