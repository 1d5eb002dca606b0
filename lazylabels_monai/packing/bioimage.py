"""A trained model as a package of the BioImage Model Zoo, which Fiji (deepImageJ), ilastik, napari and others run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks.utils import convert_to_onnx
from monai.transforms import LoadImaged
from PIL import Image
from torch import Tensor, nn

from lazylabels_monai.atomic import require_free, write_bytes, written_to
from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import to_numpy_order
from lazylabels_monai.images.files import PathLike
from lazylabels_monai.packing.config import trained_metadata
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.tasks import num_task_classes
from lazylabels_monai.trained import require_weights, trained_values
from lazylabels_monai.transforms import CLIPPED, MatchChannelsd, clips

__all__ = ["PictureNetwork", "pack_bioimage"]

#: arXiv's numbers of the method's papers, in the order of ``references`` in metadata.json.
_PAPERS = {
    "Ke et al. 2020, Multi-task deep learning for image segmentation using recursive approximation tasks": "2005.13053",
    "Ke et al. 2020, Learning to segment microscopy images with lazy labels": "1906.12177",
}


class PictureNetwork(nn.Module):
    """A network for programs outside MONAI: pictures (B, C, H, W) in, probabilities (B, sum of classes, H, W) out.

    MONAI's networks see (B, C, W, H) and give logits.

    Args:
        network: the trained network.
        num_classes: classes with the background.
        tasks: its tasks in channel order.
    """

    def __init__(self, network: nn.Module, num_classes: int, tasks: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.sizes = [num_task_classes(task, num_classes) for task in tasks]

    def forward(self, image: Tensor) -> Tensor:
        """Softmax over the channels of each task."""
        # images.axes.swap_plane, written out: TorchScript knows no type variables
        logits = self.network(image.swapaxes(-1, -2)).swapaxes(-1, -2)
        return torch.cat([part.softmax(dim=1) for part in torch.split(logits, self.sizes, dim=1)], dim=1)


def pack_bioimage(
    out: PathLike,
    weights: PathLike,
    image: PathLike | None = None,
    bundle: PathLike | None = None,
    overlays: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write the package: TorchScript and ONNX weights, the description, documentation, and an image with the result on it.

    The input is a picture as it is (any numbers); the normalisation is part of the description. The output are the
    probabilities of segmentation, detection and separation. Blending of windows and the separation of objects are not in it.

    Args:
        out: the zip file; it appears whole.
        weights: ``model.pt`` of a training.
        image: a picture of the kind that it was trained on, to test the package with; default a generated one.
        bundle: folder of the bundle; None: the one that came with the package.
        overlays: config files of the training, where it left no ``network.json``.
        overwrite: replace ``out``.

    Raises:
        LazyLabelsError: when something is missing, the network is for volumes, or the picture is too small for it.
        FileExistsError: when ``out`` is there and ``overwrite`` is not given.
    """
    try:
        from bioimageio.spec import save_bioimageio_package
    except ImportError as error:
        raise LazyLabelsError(
            f"packing for the BioImage Model Zoo needs further packages ({error}): pip install -r requirements-bioimage.txt."
        ) from error
    out = Path(out)
    require_free(out, overwrite)
    values = trained_values(require_weights(weights), overlays)
    model = Model(weights, bundle, overlays, {"device": "cpu"})
    if model.network.spatial_dims != 2:
        raise LazyLabelsError(
            f"{weights}: this network is for volumes; packages for the BioImage Model Zoo are written of 2D ones."
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture = _picture(model, image, folder)
        smallest = 2 * model.network.multiple
        if min(picture.shape[2:]) < smallest:
            raise LazyLabelsError(
                f"{image}: the test picture has {picture.shape[2:]} pixels; it needs {smallest} on each side."
            )
        network = PictureNetwork(model.network.to(memory_format=torch.contiguous_format), model.num_classes, model.tasks).eval()
        clipped = clips(values["normalization"])
        inputs = np.clip(picture, *np.percentile(picture, CLIPPED, axis=(2, 3), keepdims=True)) if clipped else picture
        mean, std = (getattr(inputs, which)(axis=(2, 3), keepdims=True, dtype=np.float64) for which in ("mean", "std"))
        normalised = torch.from_numpy(((inputs - mean) / (std + 1e-6)).astype(np.float32))
        with torch.inference_mode():
            output = network(normalised).numpy()
        np.save(folder / "test_input.npy", picture)
        np.save(folder / "test_output.npy", output)
        torch.jit.script(network).save(str(folder / "weights.ts"))
        opset = _write_onnx(network, normalised, folder / "weights.onnx")
        metadata = trained_metadata(bundle, values["classes"], model.tasks, picture.shape[1])
        (folder / "README.md").write_text(_documentation(metadata), encoding="utf-8")
        description = _description(folder, metadata, smallest, opset, clipped)
        temporary = folder / "package.zip"
        save_bioimageio_package(description, output_path=temporary)
        with written_to(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(out, temporary.read_bytes())


def _picture(model: Model, image: PathLike | None, folder: Path) -> np.ndarray:
    """(1, C, H, W) float32: the values of the file at the network's number of channels, not normalised."""
    if image is None:
        image = folder / "generated.png"
        Image.fromarray(make_image((128, 160), seed=[0, 0])["image"]).save(image)
    sample: dict[str, Any] = {"image": str(image)}
    for transform in model.preprocessing.transforms:
        if isinstance(transform, (LoadImaged, MatchChannelsd)):  # the others normalise, and warn
            sample = transform(sample)
    return np.ascontiguousarray(to_numpy_order(torch.as_tensor(sample["image"]).numpy())[None].astype(np.float32))


def _write_onnx(network: nn.Module, example: Tensor, target: Path) -> int:
    """Write the network for any batch and size; returns the version of the operators."""
    import onnx

    axes = {0: "batch", 2: "y", 3: "x"}
    model = convert_to_onnx(
        network,
        [example],
        input_names=["image"],
        output_names=["probabilities"],
        dynamic_axes={"image": axes, "probabilities": axes},
    )
    onnx.save(model, str(target))
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _documentation(metadata: dict) -> str:
    channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    lines = [f"- {index}: {name}" for index, name in channels.items()]
    references = [f"- {reference}" for reference in metadata["references"]]
    return "\n".join(
        [
            f"# {metadata['name']}",
            "",
            metadata["description"],
            "",
            "Input: a picture (y, x), any range of values; it is normalised to zero mean and unit variance,",
            "after its outermost values are clipped where the description says so.",
            "Output: probabilities. Channels:",
            "",
            *lines,
            "",
            "Objects are made of the three maps by the project's own programs; here, take the class of the highest",
            "segmentation probability, and cut it where the separation's interface exceeds one half.",
            "",
            "## Validation",
            "",
            "Compare with exact masks of images that were not trained on: Dice of each class, where the class of a pixel is",
            "that of the highest segmentation probability.",
            "",
            f"Intended use: {metadata['intended_use']}.",
            "",
            "## References",
            "",
            *references,
            "",
        ]
    )


def _description(folder: Path, metadata: dict, smallest: int, opset: int, clipped: bool) -> Any:
    from bioimageio.spec.common import FileDescr
    from bioimageio.spec.model import v0_5 as spec

    size = spec.ParameterizedSize(min=smallest, step=1)
    data = spec.IntervalOrRatioDataDescr(type="float32")
    formats = metadata["network_data_format"]
    plane = [spec.AxisId("y"), spec.AxisId("x")]
    steps: list[Any] = [spec.ZeroMeanUnitVarianceDescr(kwargs=spec.ZeroMeanUnitVarianceKwargs(axes=plane, eps=1e-6))]
    if clipped:
        low, high = CLIPPED
        steps.insert(0, spec.ClipDescr(kwargs=spec.ClipKwargs(min_percentile=low, max_percentile=high, axes=plane)))
    image = spec.InputTensorDescr(
        id=spec.TensorId("image"),
        axes=[
            spec.BatchAxis(),
            spec.ChannelAxis(channel_names=[_identifier(name) for name in formats["inputs"]["image"]["channel_def"].values()]),
            *(spec.SpaceInputAxis(id=spec.AxisId(axis), size=size) for axis in "yx"),
        ],
        data=data,
        preprocessing=steps,
        test_tensor=FileDescr(source=folder / "test_input.npy"),
    )
    probabilities = spec.OutputTensorDescr(
        id=spec.TensorId("probabilities"),
        axes=[
            spec.BatchAxis(),
            spec.ChannelAxis(channel_names=[_identifier(name) for name in formats["outputs"]["pred"]["channel_def"].values()]),
            *(
                spec.SpaceOutputAxisWithHalo(
                    id=spec.AxisId(axis),
                    halo=max(smallest // 4, 1),
                    size=spec.SizeReference(tensor_id=spec.TensorId("image"), axis_id=spec.AxisId(axis)),
                )
                for axis in "yx"
            ),
        ],
        data=data,
        test_tensor=FileDescr(source=folder / "test_output.npy"),
    )
    return spec.ModelDescr(
        name=metadata["name"],
        description=metadata["description"],
        authors=[spec.Author(name=metadata["authors"])],
        cite=[spec.CiteEntry(text=text, doi=spec.Doi(f"10.48550/arXiv.{number}")) for text, number in _PAPERS.items()],
        license=spec.LicenseId("Apache-2.0"),
        version=spec.Version(metadata["version"]),
        documentation=FileDescr(source=folder / "README.md"),
        tags=["segmentation", "instance-segmentation", "microscopy", "2d", "pytorch", "monai", "unet"],
        inputs=[image],
        outputs=[probabilities],
        weights=spec.WeightsDescr(
            torchscript=spec.TorchscriptWeightsDescr(
                source=folder / "weights.ts", pytorch_version=spec.Version(torch.__version__.split("+")[0])
            ),
            onnx=spec.OnnxWeightsDescr(source=folder / "weights.onnx", opset_version=opset, parent="torchscript"),
        ),
    )


def _identifier(name: str) -> str:
    """A channel's name as programs take it for a key."""
    return name.replace(" ", "_")
