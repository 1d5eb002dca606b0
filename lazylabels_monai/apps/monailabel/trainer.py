"""Training from the labels that are there, by the bundle's own config."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.tasks.train.bundle import BundleTrainTask

from lazylabels_monai.apps.monailabel.options import refuse_without_effect
from lazylabels_monai.apps.monailabel.replaced import require_same_pictures
from lazylabels_monai.apps.monailabel.store import (
    labelled_items,
    learnt_sentence,
    of_last_training,
    split_items,
    write_datalist,
)
from lazylabels_monai.config_text import literal_path
from lazylabels_monai.data.datalist import FILE_NAME
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.trained import WEIGHTS_FILE
from lazylabels_monai.warm_start import NOTHING

__all__ = ["LazyLabelsTrainTask"]

logger = logging.getLogger(__name__)


class LazyLabelsTrainTask(BundleTrainTask):
    """All tasks at once, from the labels of any of them; one process.

    What differs from the stock trainer: the datalist comes from the tags of the tasks and is checked as any data set is;
    ``"pretrained": false`` works; without two exact masks there is no validation, and the last weights are served.

    Args:
        path: the app's bundle.
        conf: of the server.
        studies: folder of the pictures.
    """

    def __init__(self, path: str, conf: dict[str, str], studies: str) -> None:
        super().__init__(path, conf)
        self.studies = studies
        self.tasks = tuple(self.bundle_config["tasks"])
        self.classes = list(self.bundle_config["classes"])
        self._request: dict[str, Any] = {}
        self._learnt: list[str] = []
        self._images: list[str] = []

    def config(self) -> dict[str, Any]:
        """Options of a request and their defaults."""
        return {**super().config(), "multi_gpu": False, "max_epochs": self.bundle_config["max_epochs"]}

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train and serve the result.

        Raises:
            LazyLabelsError: when there is nothing to train on, a picture is left out or was replaced, a label cannot be used,
                or an option is out of range or without effect.
        """
        refuse_without_effect(request, self.config())
        defaults = {"max_epochs": self.bundle_config["max_epochs"]}
        # several processes would train without the datalist from the tags
        self._request = {**defaults, **request, "multi_gpu": False, "force_multi_gpu": False}
        self._request["run_id"] = request.get("run_id") or "run"  # clients send back the empty text that they were shown
        epochs = self._request["max_epochs"]
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
            raise LazyLabelsError(f"max_epochs {epochs!r} of the request must be a whole number, 1 or more.")
        return super().__call__(self._request, datastore)

    @property
    def _datalist_file(self) -> Path:
        return Path(self.bundle_path, "models", "training", FILE_NAME)

    def _fetch_datalist(self, request: dict[str, Any], datastore: Datastore) -> list[dict[str, str]]:
        items = labelled_items(datastore, self.studies, self.tasks)
        require_same_pictures(items, Path(self.bundle_path, "models"))
        self._images = [datastore.get_image_uri(image) for image in datastore.list_images()]  # labelled later, too
        return items

    def _partition_datalist(
        self, datalist: list[dict[str, str]], request: dict[str, Any], shuffle: bool = False
    ) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        before, learnt = of_last_training(Path(self.bundle_path, "models"), self._images)
        self._learnt = learnt if request.get("pretrained", True) else []  # begun with weights that know nothing
        training, validation = split_items(datalist, float(request.get("val_split", 0.2)), before, self._learnt)
        if (sentence := learnt_sentence(validation, self._learnt)) is not None:
            logger.warning(sentence)
        return training, validation

    def _load_checkpoint(self, model_pytorch: str, pretrained: bool, train_handlers: list[dict[str, Any]]) -> None:
        """Served weights are the bundle's own ``init_weights``: after a loader it would not know what it began from."""
        train_handlers[:] = [handler for handler in train_handlers if not handler["_target_"].endswith("CheckpointLoader")]

    def _update_overrides(self, overrides: dict[str, Any]) -> dict[str, Any]:
        training = overrides.pop(self.const.key_train_dataset_data())
        validation = overrides.pop(self.const.key_validate_dataset_data())
        epochs = self._request["max_epochs"]
        file = write_datalist(self._datalist_file, self.classes, training, validation, self._learnt)
        overrides.update({"datalist": literal_path(file), "max_epochs": epochs})
        served = Path(self.bundle_path, "models", WEIGHTS_FILE)
        if not self._request.get("pretrained", True):
            overrides["init_weights"] = NOTHING
        elif served.is_file():
            overrides["init_weights"] = literal_path(served)
        if validation:
            overrides["val_interval"] = min(self.bundle_config["val_interval"], epochs)  # once at least
        else:
            no_validation = {
                "keep_last": True,
                "checked_sections": ["training"],
                "val_interval": epochs + 1,
                # the config builds its validation set, of which nothing is read then
                "validate#dataset#data": training[:1],
                "validate#dataset#cache_rate": 0.0,
            }
            overrides.update(no_validation)
        return overrides
