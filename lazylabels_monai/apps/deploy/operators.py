"""Holoscan operators around the bundle's own reader, inference and writers.

Between operators, pictures travel as the SDK's ``Image``: numpy arrays (H, W[, C]). :mod:`lazylabels_monai.images.axes` leads
to MONAI's (C, W, H) and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from monai.data import MetaTensor
from monai.deploy.core import AppContext, Fragment, Image, IOType, Operator, OperatorSpec
from monai.deploy.operators.monai_bundle_inference_operator import IOMapping, MonaiBundleInferenceOperator
from monai.transforms import MapTransform

from lazylabels_monai.digests import damaged_part
from lazylabels_monai.errors import LazyLabelsError, explain
from lazylabels_monai.images.axes import from_channels_last, to_channels_last
from lazylabels_monai.images.readers import MicroscopyReader

__all__ = ["BundleOperator", "ImageFolderOperator", "WriterOperator", "from_image", "require_exported_name", "to_image"]

#: Name of the config inside the TorchScript file; the SDK's default.
CONFIG = "inference"


def to_image(values: torch.Tensor, metadata: dict[str, Any]) -> Image:
    """(C, W, H) or (W, H), any type of numbers -> ``Image`` (H, W, C) or (H, W) of the same type; one channel becomes none."""
    return Image(to_channels_last(torch.as_tensor(values)), metadata=metadata)


def from_image(image: Image) -> MetaTensor:
    """``Image`` (H, W[, C]) -> (C, W, H) of the same type, with the image's metadata."""
    return MetaTensor(torch.from_numpy(from_channels_last(image.asnumpy())), meta=dict(image.metadata()))


def require_exported_name(path: Path) -> None:
    """Refuse a TorchScript file in whose archive the SDK would not find the bundle's config.

    The SDK looks for it in the archive's folder of the file's name. Where that is another, it reads none of the config
    and runs the bare network without a word.

    Raises:
        LazyLabelsError: when the file was renamed after its export, or holds no config.
    """
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, BadZipFile) as error:
        raise LazyLabelsError(f"{path}: this is no TorchScript file ({error}); stage the app again.") from error
    root = names[0].split("/", 1)[0] if names else ""
    if root != path.stem:
        raise LazyLabelsError(
            f"{path}: this model was exported as '{root}{path.suffix}', and under another name MONAI Deploy leaves out its "
            f"pre- and post-processing; name it '{root}{path.suffix}' again, or stage the app again."
        )
    if (part := damaged_part(path)) is not None:
        raise LazyLabelsError(f"{path} is damaged ({part} is not as it was written): copy it again, or stage the app again.")
    if f"{root}/extra/{CONFIG}.json" not in names:
        raise LazyLabelsError(f"{path}: the bundle's config is not in this file; stage the app again.")


class ImageFolderOperator(Operator):
    """Read one image after the other by the bundle's reader. Output ``image``: ``Image`` (H, W[, C]), values as stored.

    A file that cannot be read is noted in ``failed`` (path -> reason), and the next one is read.

    Args:
        fragment: the application.
        args: conditions; ``CountCondition(fragment, len(paths))`` ends the run after the last file.
        paths: the files.
        failed: where failures are noted.
    """

    def __init__(self, fragment: Fragment, *args: Any, paths: Sequence[str], failed: dict[str, str], **kwargs: Any) -> None:
        self.paths = list(paths)
        self.failed = failed
        self.next = 0
        self.reader = MicroscopyReader(reverse_indexing=False)
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the port."""
        spec.output("image")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Read the next file and emit it."""
        path = self.paths[self.next]
        self.next += 1
        try:
            array, metadata = self.reader.get_data(self.reader.read(path))
        except Exception as error:  # one bad image must not cost the others
            self.failed[path] = explain(error)
            return
        op_output.emit(Image(array, metadata={**metadata, "filename_or_obj": path}), "image")


class BundleOperator(MonaiBundleInferenceOperator):
    """The SDK's operator for bundles, for 2D images and all that this bundle's post-processing makes.

    The SDK's own emits the first output alone, as uint8 (the 256th object becomes background, probabilities become 0), and
    takes arrays for (W, H).

    Args:
        fragment: the application.
        app_context: with the loaded model.
        outputs: keys of the sample after post-processing that become outputs, each an ``Image``.
        bundle_path: the TorchScript file.
    """

    def __init__(
        self, fragment: Fragment, *args: Any, app_context: AppContext, outputs: Sequence[str], bundle_path: Path, **kwargs: Any
    ) -> None:
        self.output_names = list(outputs)
        super().__init__(
            fragment,
            *args,
            app_context=app_context,
            input_mapping=[IOMapping("image", Image, IOType.IN_MEMORY)],
            output_mapping=[IOMapping(name, Image, IOType.IN_MEMORY) for name in self.output_names],
            bundle_path=bundle_path,
            **kwargs,
        )

    def _init_config(self, config_names: Sequence[str]) -> None:
        super()._init_config(config_names)
        self._outputs = {name: {"type": "image"} for name in self.output_names}
        # as the evaluator of inference.yaml does
        self._autocast = bool(self.parser.get_parsed_content("amp")) and self._device.type == "cuda"

    def _get_compose(self, obj_name: str, disallowed_prefixes: Sequence[str]) -> Any:
        # every writer of the bundle goes into an operator of its own, not just MONAI's SaveImage
        return super()._get_compose(obj_name, ["LoadImage", "Save"])

    def _convert_from_image(self, img: Image) -> tuple[np.ndarray, dict]:
        values = from_image(img)
        return values.numpy().astype(np.float32), values.meta

    def predict(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Probabilities by the bundle's inferer."""
        # the memory format of the bundle's network: the same arithmetic, to the last digit
        self._model_network.predictor.to(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, enabled=self._autocast):
            return super().predict(data, *args, **kwargs)

    def _send_output(self, value: Any, name: str, metadata: dict, op_output: Any, context: Any) -> None:
        op_output.emit(to_image(value, metadata), name)


class WriterOperator(Operator):
    """Run one of the bundle's writers. Inputs: those of ``keys``, each an ``Image``.

    Args:
        fragment: the application.
        transform: the writer.
        keys: the inputs; together they are the writer's sample.
    """

    def __init__(self, fragment: Fragment, *args: Any, transform: MapTransform, keys: Sequence[str], **kwargs: Any) -> None:
        self.transform = transform
        self.ports = list(keys)
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        for key in self.ports:
            spec.input(key)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Write the files of one image."""
        self.transform({key: from_image(op_input.receive(key)) for key in self.ports})
