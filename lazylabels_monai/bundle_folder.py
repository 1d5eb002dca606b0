"""Where the bundle and the overlays lie: beside the package in a checkout, inside it once it is installed.

In the folder that ``pack`` makes the package lies in the bundle itself.
"""

from __future__ import annotations

from pathlib import Path

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import PathLike

__all__ = ["bundle_config", "find_bundle", "find_overlay", "find_starter", "require_own_files"]

_PACKAGE = Path(__file__).resolve().parent


def find_bundle(bundle: PathLike | None = None) -> Path:
    """The folder of the bundle.

    Args:
        bundle: a folder that was named; None: the one that came with the package.

    Raises:
        LazyLabelsError: when it holds no ``configs/inference.yaml``.
    """
    places = [Path(bundle)] if bundle is not None else [_PACKAGE.parent / "bundle", _PACKAGE / "bundle", _PACKAGE.parent]
    for place in places:
        if (place / "configs" / "inference.yaml").is_file():
            return place
    if bundle is not None:
        raise LazyLabelsError(f"{bundle} holds no configs/inference.yaml: name the bundle's folder by --bundle.")
    raise LazyLabelsError("the bundle's configs did not come with this installation: install it again, or pass --bundle.")


def require_own_files(bundle: PathLike) -> None:
    """Refuse a bundle with a link that leads out of it: a copy would spread whatever lies there.

    Weights may lie elsewhere: ``models/`` is copied by what is known to belong to it.

    Raises:
        LazyLabelsError: naming the link.
    """
    bundle = Path(bundle)
    for path in bundle.rglob("*"):
        inside = path.relative_to(bundle).parts
        if inside[0] != "models" and path.is_symlink() and not path.resolve().is_relative_to(bundle.resolve()):
            raise LazyLabelsError(f"{path} is a link to a place outside the bundle: put the file itself there, or remove it.")


def bundle_config(bundle: PathLike | None, name: str) -> Path:
    """A config file of the bundle.

    Args:
        bundle: see :func:`find_bundle`.
        name: such as ``"train.yaml"``.

    Raises:
        LazyLabelsError: when it is not there.
    """
    file = find_bundle(bundle) / "configs" / name
    if not file.is_file():
        raise LazyLabelsError(f"{file} is not there: name the bundle's folder by --bundle.")
    return file


def find_overlay(name: str) -> Path:
    """An overlay that came with the package, such as ``"cpu.yaml"``.

    Raises:
        LazyLabelsError: when it is not there.
    """
    for place in (_PACKAGE.parent / "configs", _PACKAGE / "configs"):
        if (place / name).is_file():
            return place / name
    raise LazyLabelsError(f"the overlay {name} did not come with this installation: install it again.")


def find_starter() -> Path:
    """The starter weights that came with the package.

    Raises:
        LazyLabelsError: when they are not there.
    """
    weights = _PACKAGE / "starter" / "model.pt"
    if not weights.is_file():
        raise LazyLabelsError("the starter weights did not come with this installation: install it again, or name others.")
    return weights
