"""What lies beside the weights ``model.pt``: its names, its writing, its reading, and whether it fits together.

| file | what it says | written by |
|---|---|---|
| ``model.pt`` | the weights: the state dict of the network | training |
| ``model.pt.sha256`` | their digest (:mod:`~lazylabels_monai.digests`) | training |
| ``classes.json`` | the names of the object classes 1, 2, ... | training |
| ``network.json`` | the network and how it looks at images: ids of ``inference.yaml`` | training |
| ``images.json`` | what the images of the training looked like | training |
| ``begun.json`` | which images they learnt from; whether they know nothing but that | a training beside a window |
| ``instances.json`` | how objects are separated, by route | ``tune`` |

The names of :mod:`~lazylabels_monai.network_file` can be had here, too: configs call them so, those in packed bundles as well.
"""

from __future__ import annotations

import filecmp
import json
import logging
import shutil
import sys
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lazylabels_monai.atomic import write_text
from lazylabels_monai.data.seen import seen_images
from lazylabels_monai.data.simulating.synthetic import CLASS_NAMES
from lazylabels_monai.digests import DIGEST_SUFFIX, require_whole, settle
from lazylabels_monai.errors import (
    RUN_INITIALIZE,
    LazyLabelsError,
    given_in_file,
    given_overrides,
    is_bundle_program,
    named_configs,
)
from lazylabels_monai.images.appearance import Seen
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.network_file import (
    NETWORK_FILE,
    NETWORK_IDS,
    built_and_stated,
    require_kept_network,
    require_same_network,
    trained_network,
    trained_normalization,
    trained_window_size,
    write_network,
)
from lazylabels_monai.option_text import quoted, written_names
from lazylabels_monai.plain_values import check_names, check_plain
from lazylabels_monai.result_files import CLASSES_FILE
from lazylabels_monai.stamps import file_digest
from lazylabels_monai.tasks import channel_names
from lazylabels_monai.tensor_files import check_fits, read_state, read_tensors, require_file

if TYPE_CHECKING:
    import torch

__all__ = [
    "ANY_OBJECT",
    "BEGUN_FILE",
    "BESIDE",
    "CLASSES_FILE",
    "IMAGES_FILE",
    "NETWORK_FILE",
    "NETWORK_IDS",
    "SETTINGS_FILE",
    "WEIGHTS_FILE",
    "begun_anew",
    "built_and_stated",
    "bundle_weights",
    "copy_trained",
    "learnt_images",
    "load_weights",
    "of_other_weights",
    "require_exported",
    "require_finite_weights",
    "require_kept_network",
    "require_loaded",
    "require_same_classes",
    "require_same_network",
    "require_weights",
    "sound_weights",
    "tell_other_metadata",
    "trained_classes",
    "trained_images",
    "trained_network",
    "trained_normalization",
    "trained_settings",
    "trained_values",
    "trained_window_size",
    "write_begun",
    "write_classes",
    "write_images",
    "write_network",
    "write_settings",
]

logger = logging.getLogger(__name__)

#: Networks that :func:`load_weights` gave weights.
_LOADED: weakref.WeakSet[Any] = weakref.WeakSet()

#: The weights.
WEIGHTS_FILE = "model.pt"
#: What the images of the training looked like.
IMAGES_FILE = "images.json"
#: Which images the weights learnt from, and whether they know nothing but that.
BEGUN_FILE = "begun.json"
#: What ``tune`` found.
SETTINGS_FILE = "instances.json"
#: The class of weights that know objects of any kind: alone, it is where every class begins.
ANY_OBJECT = "object"
#: Files beside the weights that belong to them.
BESIDE = (CLASSES_FILE, NETWORK_FILE, IMAGES_FILE, BEGUN_FILE, SETTINGS_FILE, WEIGHTS_FILE + DIGEST_SUFFIX)


def write_begun(folder: str | Path, anew: bool, learnt: Iterable[str] | None = ()) -> None:
    """Write ``begun.json``.

    Args:
        folder: of the weights.
        anew: whether they know nothing but the marks they learnt from.
        learnt: digests of the images (:func:`~lazylabels_monai.images.digest.pixel_digest`) that they learnt from; None: nobody
            knows all of them.
    """
    values = {"anew": bool(anew)} | ({} if learnt is None else {"learnt": sorted(learnt)})
    write_text(Path(folder) / BEGUN_FILE, json.dumps(values) + "\n")


def begun_anew(weights: str | Path) -> bool:
    """What :func:`write_begun` said of weights; False of those of any other training."""
    return _begun(weights).get("anew") is True


def learnt_images(weights: str | Path) -> frozenset[str] | None:
    """Digests of the images that weights learnt from beside a window; None where nothing says it."""
    found = _begun(weights).get("learnt")
    return frozenset(map(str, found)) if isinstance(found, list) else None


def _begun(weights: str | Path) -> dict[str, Any]:
    try:
        found = json.loads((Path(weights).parent / BEGUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def bundle_weights(bundle: str | Path) -> Path:
    """Where a bundle keeps its weights."""
    return Path(bundle) / "models" / WEIGHTS_FILE


def require_weights(weights: str | Path) -> Path:
    """The path of the weights.

    Raises:
        LazyLabelsError: when they are not there.
    """
    return require_file(weights)


def load_weights(network: torch.nn.Module, weights: str | Path) -> None:
    """Load ``model.pt`` into ``network``.

    Raises:
        LazyLabelsError: when the file is missing or damaged, is no file of weights, or its weights are not finite or belong to
            another network.
    """
    state = sound_weights(weights)
    check_fits(network, state, weights)
    try:
        network.load_state_dict(state)
        _LOADED.add(network)
    except RuntimeError as error:
        if more := _more_classes(state, network.state_dict()):
            counted = f"{abs(more)} object class{'es' * (abs(more) > 1)} {'more' if more > 0 else 'fewer'}"
            raise LazyLabelsError(
                f"{weights}: the weights know {counted} than are named: take the data set of their training, "
                f"or its {CLASSES_FILE} beside them."
            ) from error
        first = [*str(error).splitlines()[1:], str(error)][0].strip().partition(",")[0]  # torch lists all keys in one line
        raise LazyLabelsError(
            f"{weights}: these weights belong to another network (first difference: {first}); "
            "use the configs and overrides of its training."
        ) from error


def require_loaded(network: torch.nn.Module, weights: str | Path | None) -> None:
    """Refuse a network that :func:`load_weights` gave no weights: its config was taken apart by hand.

    Raises:
        LazyLabelsError: with what is to be run first.
    """
    if not any(part in _LOADED for part in network.modules()):  # it may be wrapped, as by torch.compile
        raise LazyLabelsError(
            f"{weights} was not loaded, as the config's 'initialize' was not run, so that the weights are random: "
            f"{RUN_INITIALIZE}."
        )


def sound_weights(weights: str | Path) -> dict[str, torch.Tensor]:
    """The state dict in a file of weights, on the CPU.

    Raises:
        LazyLabelsError: when the file is missing or damaged, is no file of weights, or its weights are not finite.
    """
    state = read_state(weights)
    require_finite_weights(state, weights)
    return state


def require_finite_weights(state: Any, weights: str | Path) -> None:
    """Refuse weights with NaN or infinite values, whose network would answer "background" everywhere.

    Args:
        state: what the file holds.
        weights: the file, named in the error.

    Raises:
        LazyLabelsError: when there are any.
    """
    from lazylabels_monai.guards import not_finite  # who asks only for names and settings needs neither torch nor MONAI

    if bad := not_finite(state):
        raise LazyLabelsError(
            f"{weights}: {len(bad)} of the weights' {len(state)} tensors hold NaN or infinite values ({bad[0]} the first), as "
            "after a training that went wrong: take other weights, or train again with a lower learning_rate."
        )


def _more_classes(state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> int:
    """How many classes more the weights know than the network, where that alone tells them apart; else 0."""
    if state.keys() != own.keys():
        return 0
    shapes = [(tuple(state[name].shape), tuple(own[name].shape)) for name in own if state[name].shape != own[name].shape]
    more = {a[0] - b[0] for a, b in shapes if a and b and a[1:] == b[1:]}
    return more.pop() if len(more) == 1 and all(a and b and a[1:] == b[1:] for a, b in shapes) else 0


def write_classes(folder: str | Path, classes: Sequence[str]) -> None:
    """Write the names of the object classes into the folder of the weights, for :func:`trained_classes`."""
    write_text(Path(folder) / CLASSES_FILE, json.dumps(list(classes)) + "\n")


def trained_classes(weights: str | Path) -> list[str]:
    """Names of the object classes that the weights were trained for; those of the built-in data where none are there.

    Raises:
        LazyLabelsError: when the names cannot be read.
    """
    path = Path(weights).with_name(CLASSES_FILE)
    if not path.is_file():
        return list(CLASS_NAMES)
    try:
        return check_names(json.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError, TypeError) as error:
        raise LazyLabelsError(
            f'{path}: the names of the classes cannot be read ({error}); write them as a JSON list, such as ["pore", "grain"].'
        ) from error


def require_same_classes(weights: str | Path, classes: Sequence[str]) -> None:
    """Refuse to judge answers by a data set whose values 1, 2, ... mean other classes, or the same in another order.

    Args:
        weights: ``model.pt``, or this name in a folder of predictions, which need not be there; the names lie beside it. Where
            none do, or the one class of either is "object", nothing is compared.
        classes: of the data set.

    Raises:
        LazyLabelsError: naming both and what to do.
    """
    file, classes = Path(weights).with_name(CLASSES_FILE), list(classes)
    known = trained_classes(weights) if file.is_file() else classes
    if known == classes or (len(known) == len(classes) == 1 and ANY_OBJECT in (*known, *classes)):
        return
    if sorted(known) == sorted(classes):
        raise LazyLabelsError(
            f"'{file}' has the classes in the order {', '.join(known)}, the data set {', '.join(classes)}, so that each would "
            f"be taken for another: make the data set with the order of the former (datalist with --classes "
            f"{quoted(written_names(known))} --overwrite)."
        )
    raise LazyLabelsError(
        f"'{file}' names the classes {', '.join(known)}, the data set {', '.join(classes)}: name a data set of the same "
        "classes, or, where only the words differ, write those of the data set into that file."
    )


def of_other_weights(results: Mapping[str, Any], folder: Path, training: Path) -> str | None:
    """A sentence where scores are of other weights than those that a training left in its folder since; else None.

    Args:
        results: ``metrics.json``; that of versions which wrote no digest of the weights proves nothing.
        folder: where it lies.
        training: output folder of the training.
    """
    weights, judged = training / "models" / WEIGHTS_FILE, results.get("weights")
    if not isinstance(judged, str) or not weights.is_file() or (now := file_digest(weights)) == judged:
        return None
    return (
        f"The scores in '{folder / 'metrics.json'}' are of other weights ({judged[:6]}) than '{weights}' ({now[:6]}), such as "
        "those before it was trained again: evaluate again."
    )


def require_exported(weights: str | Path, arguments: Sequence[str] | None = None) -> None:
    """Refuse to export weights by a config that reads classes, network and normalization beside others.

    Args:
        weights: those of the config.
        arguments: the command line; default ``sys.argv``, and where another program runs nothing is refused.

    Raises:
        LazyLabelsError: with the remedy; for a checkpoint without the key of its weights, too.
    """
    values = _export_arguments(("ckpt_export", "onnx_export", "trt_export"), arguments) or {}
    if (named := values.get("ckpt_file")) is None or not Path(named).is_file():
        return
    for name in (CLASSES_FILE, NETWORK_FILE):
        file, other = Path(named).with_name(name), Path(weights).with_name(name)
        if file.is_file() and not (other.is_file() and filecmp.cmp(file, other, shallow=False)):
            raise LazyLabelsError(
                f"command line: --ckpt_file {named} has a {name} beside it that is not what the config reads ('{other}'), as "
                f"of another training: give --ckpt_dir {quoted(file.parent)}, too."
            )
    held = read_tensors(named)
    if not values.get("key_in_ckpt") and isinstance(held, Mapping) and isinstance(held.get("model"), Mapping):
        raise LazyLabelsError(
            f"{named}: this is a checkpoint, whose weights lie under 'model': give --key_in_ckpt model, or --ckpt_file "
            f"{quoted(Path(named).with_name(WEIGHTS_FILE))}."
        )


def _export_arguments(programs: Sequence[str], arguments: Sequence[str] | None) -> dict[str, Any] | None:
    """What was given to one of MONAI's exports, as typed or in a file; None where none of them runs."""
    words = list(arguments) if arguments is not None else sys.argv[1:] if is_bundle_program() else []
    if not words or words[0] not in programs:
        return None
    given = given_overrides(words)
    return {**given_in_file(given), **given}


def tell_other_metadata(
    classes: Sequence[str], tasks: Sequence[str], arguments: Sequence[str] | None = None, in_channels: int | None = None
) -> None:
    """Warn where MONAI's ``ckpt_export`` is about to write the description of another model into the exported file.

    Args:
        classes: names of the object classes of the network that is exported.
        tasks: its tasks.
        arguments: the command line; default ``sys.argv``, and where another program runs there is nothing to tell.
        in_channels: its input channels; None: nobody looks.

    Raises:
        LazyLabelsError: where ``verify_net_in_out`` would give the network images of another number of channels.
    """
    values = _export_arguments(("ckpt_export", "trt_export", "verify_net_in_out"), arguments)
    if values is None:
        return
    named = values.get("meta_file", str(Path(values.get("bundle_root", "."), "configs", "metadata.json")))
    files = [file for file in named_configs({}, {"config_file": named}) if Path(file).is_file()]
    takes = _described(files, "inputs", "image", "num_channels")
    verifies = _export_arguments(("verify_net_in_out",), arguments) is not None
    if None not in (takes, in_channels) and takes != in_channels:
        channels = f"{takes} input channel{'s' * (takes != 1)}"
        said = f"{files[-1]}: it describes a network of {channels}, and this one takes {in_channels}"
        remedy = "in the unzipped folder of `lazylabels pack`, whose configs/metadata.json is of these weights."
        if verifies:
            raise LazyLabelsError(f"{said}: verify {remedy}")
        logger.warning(f"{said}, which the exported file will not say: export {remedy}")
    described = _described(files, "outputs", "pred", "channel_def")
    described = list(described.values()) if isinstance(described, dict) else None
    if verifies or described is None or described == channel_names(classes, tasks):
        return
    logger.warning(
        f"{files[-1]}: it describes a network of the channels {', '.join(described)}, and the exported file will say so, "
        f"though it gives {', '.join(channel_names(classes, tasks))}: export in the unzipped folder of `lazylabels pack`, "
        "whose configs/metadata.json is of these weights."
    )


def _described(files: Sequence[str], *keys: str) -> Any:
    """What ``metadata.json``, of several files merged, says of the network's data; None where it does not tell."""
    from monai.bundle import ConfigParser  # here, so that weights can be read without importing all of MONAI

    try:
        found = ConfigParser.load_config_files(files)["network_data_format"]
        for key in keys:
            found = found[key]
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    return found


def trained_values(weights: str | Path, overlays: Sequence[str | Path] = ()) -> dict[str, Any]:
    """Ids of the configs with the values of a training: its classes and normalization, and its network where ``network.json``
    tells of it."""
    return {
        "normalization": trained_normalization(weights),
        **trained_network(weights, overlays),
        "classes": trained_classes(weights),
        "seen": trained_images(weights),
    }


def write_images(folder: str | Path, datalist: str | Path) -> None:
    """Write what a data set's training images look like into the folder of the weights, for :func:`trained_images`.

    Args:
        folder: of ``model.pt``.
        datalist: the file or its folder; every image of ``training`` that has a label is read once.
    """
    write_text(Path(folder) / IMAGES_FILE, json.dumps(seen_images(datalist).as_dict(), indent=1) + "\n")


def trained_images(weights: str | Path) -> dict[str, Any] | None:
    """What the images of the training looked like (:class:`~lazylabels_monai.images.appearance.Seen`); None where no training
    wrote it, and then nothing is compared.

    Raises:
        LazyLabelsError: when the file cannot be read.
    """
    path = Path(weights).with_name(IMAGES_FILE)
    if not path.is_file():
        return None
    try:
        return Seen.from_dict(check_plain(json.loads(path.read_text(encoding="utf-8")))).as_dict()
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise LazyLabelsError(
            f"{path}: what the training saw cannot be read ({error}); remove the file, and images are compared with nothing."
        ) from error


def trained_settings(weights: str | Path, route: str | None = None, **changes: Any) -> InstanceSettings:
    """Settings that ``tune`` wrote beside the weights; the defaults where it was not run.

    Args:
        weights: ``model.pt``.
        route: the settings of this route; default those of the best one.
        changes: settings that take another value than the file's, such as ``cut=True``.

    Raises:
        LazyLabelsError: when the file cannot be read, and when it or ``changes`` names a setting that does not exist.
    """
    path = Path(weights).with_name(SETTINGS_FILE)
    values: dict[str, Any] = {} if route is None else {"route": route}
    if path.is_file():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            routes = content["routes"] if "routes" in content else content["methods"]  # the latter: before routes had a name
            values = dict(routes[content["best"]] if route is None else routes.get(route, values))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LazyLabelsError(f"{path} cannot be read ({error}): run tune again, or remove the file.") from error
        if "method" in values:
            values = {"route": values.pop("method"), **values}
    known = {field.name for field in fields(InstanceSettings)}
    if unknown := sorted(set(values) - known):
        raise LazyLabelsError(f"{path} names the setting '{unknown[0]}', which does not exist: run tune again.")
    for name, value in values.items():
        wanted = type(getattr(InstanceSettings, name))
        if type(value) is not wanted and (wanted, type(value)) != (float, int):
            raise LazyLabelsError(f"{path}: {name} is {value!r}, not of type {wanted.__name__}: run tune again.")
    if unknown := sorted(set(changes) - known):
        raise LazyLabelsError(f"instance_settings: '{unknown[0]}' does not exist; there are {', '.join(sorted(known))}.")
    return InstanceSettings(**{**values, **changes})


def write_settings(weights: str | Path, found: Sequence[InstanceSettings], **about: Any) -> Path:
    """Write settings beside the weights for :func:`trained_settings`, best first; ``about`` says how they were found."""
    path = Path(weights).with_name(SETTINGS_FILE)
    content = {"best": found[0].route, "routes": {settings.route: asdict(settings) for settings in found}, **about}
    write_text(path, json.dumps(content, indent=1) + "\n")
    return path


def copy_trained(weights: str | Path, folder: str | Path) -> None:
    """Copy the weights, as ``model.pt``, and what lies beside them; no path of this machine goes along.

    Raises:
        LazyLabelsError: when the weights are damaged.
    """
    weights, folder = Path(weights), Path(folder)
    require_whole(require_weights(weights))
    trained_images(weights), trained_settings(weights)  # what is none of these files, a link to another among them, stays here
    shutil.copyfile(weights, folder / WEIGHTS_FILE)
    for name in BESIDE:
        if name != BEGUN_FILE and (file := weights.with_name(name)).is_file():  # which no prediction asks for
            shutil.copyfile(file, folder / name)
    settle(folder / WEIGHTS_FILE)
    settings = folder / SETTINGS_FILE
    if settings.is_file():
        content = json.loads(settings.read_text(encoding="utf-8"))
        if "dataset" in content:
            write_text(settings, json.dumps({**content, "dataset": Path(content["dataset"]).name}, indent=1) + "\n")
