"""The app: what MONAI Label's server asks for, put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import monailabel
import torch
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType, BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from lazylabels_monai.apps.monailabel.folder import BUNDLE
from lazylabels_monai.apps.monailabel.infer import INSTANCES, TaskInfer
from lazylabels_monai.apps.monailabel.replaced import note_pictures
from lazylabels_monai.apps.monailabel.store import images_without, known_items, picture_patterns, require_all_served
from lazylabels_monai.apps.monailabel.strategies import MostUncertain, NextImage
from lazylabels_monai.apps.monailabel.trainer import LazyLabelsTrainTask
from lazylabels_monai.config_text import refuse_expressions
from lazylabels_monai.errors import DiskError, LazyLabelsError, one_sentence_errors, user_error
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.threads import wait_asleep

__all__ = ["LazyLabelsApp", "TaskBatchInfer"]


class TaskBatchInfer(BatchInferTask):
    """Batch inference in which "labeled" and "unlabeled" refer to the model's own task."""

    def get_images(self, request: dict[str, Any], datastore: Datastore) -> list[str]:
        """Ids of the images to predict; "unlabeled" ones lack the task's label (objects: an exact mask)."""
        images, model = request.get("images", BatchInferImageType.IMAGES_ALL), request["model"]
        if images not in (BatchInferImageType.IMAGES_LABELED, BatchInferImageType.IMAGES_UNLABELED):
            return super().get_images(request, datastore)
        without = images_without(datastore, model if model in TASKS else "segmentation")
        if images == BatchInferImageType.IMAGES_UNLABELED:
            return without
        return [image for image in datastore.list_images() if image not in without]


class LazyLabelsApp(MONAILabelApp):
    """A model per task and one for objects, a trainer for all of them, two strategies per task.

    Args:
        app_dir: what :func:`~lazylabels_monai.apps.monailabel.folder.make_app` made.
        studies: folder of pictures; labels go to ``labels/<tag>`` in it.
        conf: ``--conf`` of the server; ``models`` names another bundle's folder below ``app_dir/model``.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        one_sentence_errors()  # the server runs a training as a program of its own and shows the end of its output
        wait_asleep()  # an inference runs no `initialize` of the configs
        self.bundle = os.path.join(app_dir, "model", (conf or {}).get("models", BUNDLE))
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf or {},
            name=f"Lazy Labels ({monailabel.__version__})",
            description="Segmentation of microscopy images from lazy labels: detection, separation, segmentation, objects",
            version=monailabel.__version__,
        )

    def init_datastore(self) -> Datastore:
        """The folder of pictures, all kinds that the bundle reads.

        Raises:
            LazyLabelsError: when ``studies`` is a server's address, or a picture would be left out.
        """
        if self.studies.startswith(("http://", "https://")):
            raise LazyLabelsError(f"studies {self.studies}: this app labels pictures in a folder; name one by --studies.")
        read_only = settings.MONAI_LABEL_DATASTORE_READ_ONLY
        store = LocalDatastore(
            self.studies,
            extensions=picture_patterns(),
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=read_only,
        )
        if not read_only:  # it has not looked into the folder then
            require_all_served(store, self.studies)
        self._note_pictures(store)
        return store

    def on_save_label(self, image_id: str, label_id: str) -> None:
        """As MONAI Label's own; what the picture shows is noted with its label."""
        super().on_save_label(image_id, label_id)
        self._note_pictures(self.datastore())

    def _note_pictures(self, store: Datastore) -> None:
        with suppress(DiskError):  # an app that cannot be written predicts still; a training says so
            note_pictures(known_items(store), Path(self.bundle, "models"))

    def init_infers(self) -> dict[str, InferTask]:
        """A model per task that the network learned, and the objects."""
        networks: dict[str, Any] = {}
        first = TaskInfer(self.bundle, self.conf, "segmentation", networks)
        self.tasks = tuple(first.bundle_config["tasks"])
        others = [task for task in TASKS if task in self.tasks and task != "segmentation"]
        rest = {name: TaskInfer(self.bundle, self.conf, name, networks) for name in (*others, INSTANCES)}
        return {"segmentation": first, **rest}

    def init_trainers(self) -> dict[str, TrainTask]:
        """One trainer, for all tasks together."""
        return {BUNDLE: LazyLabelsTrainTask(self.bundle, self.conf, self.studies)}

    def init_strategies(self) -> dict[str, Strategy]:
        """``next_<task>`` and ``uncertainty_<task>``."""
        following = {f"next_{task}": NextImage(task) for task in self.tasks}
        return {**following, **{f"uncertainty_{task}": MostUncertain(task, self.bundle) for task in self.tasks}}

    def init_batch_infer(self) -> Callable:
        """By the task's own tag."""
        return TaskBatchInfer()

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """As MONAI Label's own; a prediction never takes the place of a label that somebody drew."""
        with self._answered():
            tag, image = request.get("label_tag"), request.get("image")
            store = datastore or self.datastore()
            if not isinstance(image, str) or not (os.path.isfile(image) or store.get_image_uri(image)):
                raise LazyLabelsError(
                    f"image '{image}' is not in the datastore: give the id of one of its pictures, or a file."
                )
            if request.get("save_label") and tag in TASKS and tag in store.get_labels_by_image_id(image):
                raise LazyLabelsError(
                    f"'{image}' has a label under the tag '{tag}': save the prediction under another label_tag."
                )
            return super().infer(request, datastore)

    def infer_wsi(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Polygons of the whole picture, whatever region is asked for.

        The stock route opens each TIFF as a whole slide, which a microscope's is not, and picks a GPU where there is none.
        """
        whole = {"location": [0, 0], "size": [0, 0], "output": request.get("output") or "json"}
        return self.infer({**request, **whole}, datastore)

    def batch_infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """As MONAI Label's own; without a GPU on the CPU, and under a tag per model."""
        model = request.get("model")
        defaults = {"label_tag": f"predicted_{model}"}
        if not torch.cuda.is_available():
            request = {**request, "multi_gpu": False}  # by default the stock one spreads the images over all GPUs: none
        with self._answered():
            if model not in self._infers:
                raise LazyLabelsError(f"model '{model}' does not exist: use one of {', '.join(self._infers)}.")
            return super().batch_infer({**defaults, **request}, datastore)

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """As MONAI Label's own, which puts what a request says into a config, where it may be code: that is refused here."""
        with self._answered():
            refuse_expressions(request, "the request")
            return super().train(request)

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """As MONAI Label's own."""
        with self._answered():
            return super().next_sample(request)

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """A mistake in a request is answered by status 400 and one sentence, instead of 500 and nothing."""
        try:
            yield
        except MONAILabelException as error:
            if not self._server_mode:
                raise
            raise HTTPException(400, error.msg) from error
        except Exception as error:
            found = user_error(error)
            if found is None or not self._server_mode:
                raise
            raise HTTPException(400, str(found)) from error
