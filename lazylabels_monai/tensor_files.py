"""Reading a file of tensors: the one place that opens weights and checkpoints, and never as code.

``torch.load`` admits tensors and plain containers alone (``weights_only``); whatever else lies under the name of weights ends
as one sentence that says what it is.
"""

from __future__ import annotations

import errno
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lazylabels_monai.digests import require_whole
from lazylabels_monai.errors import LazyLabelsError, first_line
from lazylabels_monai.regular import why_no_file

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["check_fits", "read_state", "read_tensors", "require_file", "state_in"]

#: What a training's checkpoint and other programs call the state dict among what else they keep.
_HOLDERS = ("model", "state_dict", "network", "model_state_dict", "net")

_REMEDY = "name the model.pt that a training wrote, or copy or download it again"

#: First bytes of files that are taken for weights.
_STARTS = (
    (b"version https://git-lfs", "only a pointer of Git LFS, not the weights themselves: fetch them with git lfs pull"),
    (b"\x93NUMPY", "an array of numpy"),
    (b"\x89HDF", "an HDF5 file, such as Keras writes"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"II*\0", "a picture"),
    (b"MM\0*", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "a gzip file: unpack it, and name what was in it"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it, and name what was in it"),
    (b"Rar!", "a rar archive: unpack it, and name what was in it"),
    (b"%PDF", "a PDF"),
)


def require_file(path: str | os.PathLike) -> Path:
    """The path of a file that is there and is one.

    Raises:
        LazyLabelsError: for a folder, a dangling link, a pipe or device, or where nothing is.
    """
    path, why = Path(path), why_no_file(path)
    if why == "does not exist":
        raise LazyLabelsError(f"{path}: there are no trained weights; train first, or name them by --weights PATH.")
    if why == "is a folder":
        raise LazyLabelsError(f"{path}: there are no trained weights, this is a folder: name the model.pt in it.")
    if why is not None:
        raise LazyLabelsError(f"{path!s:.300}: this {why}: {_REMEDY}.")
    return path


def read_tensors(path: str | os.PathLike) -> Any:
    """What :func:`torch.save` wrote: tensors, numbers, texts and containers of them, on the CPU.

    Raises:
        LazyLabelsError: when the file is not there, may not be read, is damaged, or is something else; and for what only code
            could unpack, which is never run.
    """
    import torch  # takes seconds, and who asks only for names of files needs none of it

    path = require_file(path)
    try:
        head = _head(path)
        if not head:
            raise LazyLabelsError(f"{path}: this file of weights is empty: {_REMEDY}.")
        _check_archive(path)
        require_whole(path)
        with warnings.catch_warnings():  # about files that are refused
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except LazyLabelsError:
        raise
    except PermissionError as error:
        raise LazyLabelsError(f"{path}: permission denied: change the rights of the file.") from error
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # says nothing about the file
            raise
        raise LazyLabelsError(f"{path}: this file of weights cannot be read ({first_line(error)}): {_REMEDY}.") from error
    except MemoryError:
        raise
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, ValueError, KeyError, TypeError ...
        raise LazyLabelsError(f"{path}: {_what(path, head)}; {_REMEDY}.") from error


def read_state(path: str | os.PathLike, held: bool = False) -> dict[str, Tensor]:
    """The state dict of a network in a file.

    Args:
        path: the file.
        held: whether one among other things will do, such as that in the checkpoint of a training.

    Raises:
        LazyLabelsError: as :func:`read_tensors`; and when there is none.
    """
    import torch

    found = read_tensors(path)
    inner = state_in(found)
    if inner is None:
        nameless = isinstance(found, (torch.Tensor, list, tuple))
        what = "tensors, but not by their names" if nameless else "no state dict of a network"
        raise LazyLabelsError(f"{path}: this file holds {what}; {_REMEDY}.")
    if inner is not found and not held:
        raise LazyLabelsError(
            f"{path}: this is a checkpoint of a training, which holds more than the weights: name its model.pt, or train from "
            "it by --init_weights."
        )
    state = {str(name): value for name, value in inner.items() if isinstance(value, torch.Tensor)}
    for name, value in state.items():
        if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.device.type == "meta":
            kind = "sparse" if value.layout != torch.strided else "quantized" if value.is_quantized else _name(value)
            raise LazyLabelsError(f"{path}: '{name}' is {kind}, where plain numbers are expected: {_REMEDY}.")
    return state


def state_in(found: Any) -> Mapping[str, Any] | None:
    """The state dict in what a file held, itself or under the name that checkpoints give it; None where there is none."""
    import torch

    for _ in range(3):
        if not isinstance(found, Mapping):
            return None
        if found and any(isinstance(value, torch.Tensor) for value in found.values()):
            return found
        found = next((found[holder] for holder in _HOLDERS if isinstance(found.get(holder), Mapping)), None)
    return None


def check_fits(network: nn.Module, state: Mapping[str, Tensor], path: str | os.PathLike) -> None:
    """Refuse tensors that PyTorch would turn into other numbers in silence.

    Raises:
        LazyLabelsError: naming the first.
    """
    for name, own in network.state_dict().items():
        value = state.get(name)
        if value is not None and own.is_floating_point() and not value.is_floating_point():
            raise LazyLabelsError(
                f"{path}: '{name}' is of the type {_name(value)}, where the network has {_name(own)}: {_REMEDY}."
            )


def _name(value: Tensor) -> str:
    return "empty of values" if value.device.type == "meta" else str(value.dtype).removeprefix("torch.")


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(512)


def _check_archive(path: Path) -> None:
    """Refuse a program, and what is packed many times over, which might fill memory: ``torch.save`` packs nothing."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
            is_program = _is_program(archive.namelist())
    except Exception:  # torch says what it thinks of it
        return
    if is_program:
        raise LazyLabelsError(f"{path}: this is TorchScript, a whole program rather than weights; {_REMEDY}.")
    if claimed > 2 * path.stat().st_size + 2**20:
        raise LazyLabelsError(
            f"{path}: this archive would unpack to {claimed} bytes, as no file of weights does: it is damaged or made to harm; "
            f"{_REMEDY}."
        )


def _is_program(names: list[str]) -> bool:
    return any(name.endswith("constants.pkl") for name in names)


def _what(path: Path, head: bytes) -> str:
    """What a file is that is no file of weights."""
    for start, name in _STARTS:
        if head.startswith(start):
            return f"this is {name}"
    if zipfile.is_zipfile(path):
        return _what_archive(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return "this is a safetensors file, which is not read here: save its tensors by torch.save"
    if path.suffix.lower() == ".onnx" or (head[:1] == b"\x08" and b"pytorch" in head[:64]):
        return "this is an ONNX file, whose weights are not read here"
    if head.lstrip()[:1] == b"<":
        return "this is a web page, as a download gives that needs a log-in"
    if head.startswith(b"PK"):
        return "this archive is damaged or cut short"
    if head[:1] == b"\x80":
        return "this is a pickle that holds more than tensors, or is damaged; it might run code and is not opened"
    if not head.strip(b"\0"):
        return "this file holds nothing but zeros, as an interrupted copy leaves it"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return "this is no file of weights, or it is damaged"
    return "this is a text"


def _what_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # zipfile raises all sorts
        return "this archive is damaged or cut short"
    if any(name.endswith(".npy") for name in names):
        return "this is an archive of numpy"
    if any(name.endswith("data.pkl") for name in names):
        return "this file holds more than tensors, or is damaged; it might run code and is not opened"
    return "this is a zip of something else: unpack it, and name the model.pt in it"
