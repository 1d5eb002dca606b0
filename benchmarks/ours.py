"""This project's side of ``bench others``, in the environment of the project: ``python -m benchmarks.ours``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.serving import Clock, Predict, serve

#: What is computed: what ``lazylabels predict`` computes, or the class map alone.
VARIANTS = ("objects", "segmentation")


def load(folder: Path, variant: str) -> Predict:
    """The starter, as ``lazylabels predict`` takes it where no weights are named; results stay in memory."""
    from lazylabels_monai.late import import_late
    from lazylabels_monai.threads import wait_asleep

    wait_asleep()  # as the command line does
    import_late()
    import torch

    from lazylabels_monai.bundle_folder import find_starter
    from lazylabels_monai.instances import separate_objects
    from lazylabels_monai.predicting.model import Model
    from lazylabels_monai.tasks import task_slices
    from lazylabels_monai.trained import trained_settings

    weights = find_starter()
    model, settings = Model(weights, overrides={"device": "cpu"}, needed_only=True), trained_settings(weights)
    if variant == "segmentation":
        model = model.answering(["segmentation"])
    slices = task_slices(model.num_classes, model.answered)

    def predict(path: Path, clock: Clock) -> np.ndarray:
        with clock("network"):
            answer = torch.as_tensor(model.answer(model.load(path)))[0].float().numpy()
            classes = answer[slices["segmentation"]].argmax(0).astype(np.uint8)
        if variant == "segmentation":
            return classes.T
        with clock("objects"):
            maps = [answer[slices[task]] if task in slices else None for task in ("detection", "separation")]
            return separate_objects(classes, *maps, settings).T

    return predict


if __name__ == "__main__":
    serve(lambda folder: None, load, VARIANTS)
