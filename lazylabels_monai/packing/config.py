"""The bundle's config and metadata with the values of a training written in, so that they stand without its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from monai.bundle import ConfigParser

from lazylabels_monai.bundle_folder import bundle_config
from lazylabels_monai.config_files import check_overlays
from lazylabels_monai.images.files import PathLike
from lazylabels_monai.tasks import IGNORE, TASKS, channel_names, class_names, task_slices
from lazylabels_monai.trained import require_weights, trained_settings, trained_values

__all__ = [
    "trained_config",
    "trained_metadata",
]

#: The format of pictures and of volumes in ``metadata.json``; others are read, too.
_FORMATS = {2: "png", 3: "nii.gz"}


def trained_config(
    bundle: PathLike | None, weights: PathLike, overlays: Sequence[PathLike] = (), **values: Any
) -> dict[str, Any]:
    """``inference.yaml`` with everything that stands in files beside the weights written in.

    Args:
        bundle: folder of the bundle; None: the one that came with the package.
        weights: ``model.pt`` of a training.
        overlays: config files merged after ``inference.yaml``; what the training wrote wins over them.
        values: further ids and their values.

    Raises:
        LazyLabelsError: when the bundle or the weights are not there.
    """
    file = bundle_config(bundle, "inference.yaml")
    check_overlays(overlays)
    config = ConfigParser.load_config_files([str(file), *map(str, overlays)])
    config.get("network_def", {}).pop("_requires_", None)  # what lies beside other weights says nothing of these
    settings = asdict(trained_settings(require_weights(weights)))
    config.update(trained_values(weights, overlays))
    config["instance_settings"] = f"$lazylabels_monai.instances.InstanceSettings(**{settings!r})"
    config.update(values)
    return config


def trained_metadata(
    bundle: PathLike | None,
    classes: Sequence[str],
    tasks: Sequence[str] = TASKS,
    in_channels: int = 1,
    spatial_dims: int = 2,
) -> dict:
    """``metadata.json`` whose channels, classes and axes are those of a training.

    Args:
        bundle: folder of the bundle; None: the one that came with the package.
        classes: names of the object classes.
        tasks: the tasks of the network.
        in_channels: channels of its image.
        spatial_dims: 3 for a network of volumes.
    """
    metadata = json.loads(bundle_config(bundle, "metadata.json").read_text(encoding="utf-8"))
    objects = ["background", *classes]
    names, ranges = channel_names(classes, tasks), []
    for task, channels in task_slices(len(objects), tasks).items():
        own = class_names(task, classes)
        ranges.append(f"{channels.start}-{channels.stop - 1} {task} ({', '.join(own)})")
    image, pred = metadata["network_data_format"]["inputs"]["image"], metadata["network_data_format"]["outputs"]["pred"]
    image.update(
        num_channels=in_channels, channel_def={str(i): f"image {i}" if in_channels > 1 else "image" for i in range(in_channels)}
    )
    pred.update(num_channels=len(names), channel_def={str(i): name for i, name in enumerate(names)})
    image["spatial_shape"] = pred["spatial_shape"] = ["*"] * spatial_dims
    metadata["data_type"] = _FORMATS[spatial_dims]
    metadata["pred_classes"] = f"channels {', '.join(ranges)}"
    values = ", ".join(f"{i} {name}" for i, name in enumerate(objects))
    metadata["label_classes"] = f"{values}; separation: 0 other, 1 interface; {IGNORE} not labelled"
    return metadata
