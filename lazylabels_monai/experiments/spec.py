"""What a comparison says: its sets, methods and seeds, read from ``configs/experiments``.

A *table* (``table1.yaml``) names groups of rows. A row is a method on a set; both, and the sizes of a run, are defined once, in
``methods.yaml``, ``sets.yaml`` and ``scales.yaml`` beside the table. A run belongs to no table: tables share their runs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["DataSet", "ExperimentError", "Group", "Method", "Run", "Scale", "Table", "read_table"]

SECTIONS = ("testing", "validation")


class ExperimentError(LazyLabelsError):
    """A comparison cannot be read or run; the message names the file and the key."""


@dataclass(frozen=True)
class Scale:
    """The size of the runs.

    Attributes:
        name: such as "cpu" or "paper".
        overlays: config files after those of set and method.
        values: what stands for ``{name}`` in the commands that make the sets.
    """

    name: str
    overlays: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet:
    """Images and the ways to label them.

    Attributes:
        name, title: for folders and for people.
        overlays: config files of the set.
        set: ids of the config and their values.
        variants: by name, the arguments of ``python -m lazylabels_monai`` that make the data set into ``{out}``; other
            fields: ``{seed}``, ``{data}`` (the folder of the real sets), a scale's values, and the folder of another
            variant by its name.
        images_by_seed: each seed makes test images of its own.
        starter: weights that have not seen the set, from which the methods that start warm begin on it.
    """

    name: str
    title: str
    variants: Mapping[str, str]
    overlays: tuple[str, ...] = ()
    set: Mapping[str, Any] = field(default_factory=dict)
    images_by_seed: bool = False
    starter: str | None = None


@dataclass(frozen=True)
class Method:
    """A row of a table: how a network is trained, or another program.

    Attributes:
        name, title: for folders and for people.
        overlays: config files of the method.
        set: ids of the config and their values.
        data: the variant of the set that it learns from, where that is not the group's.
        command: instead of the bundle, a program that writes ``{out}/predictions`` and ``{out}/validation_predictions``;
            fields: ``{data}`` (the data set), ``{labels}`` (what ``export`` makes of it), ``{out}``, ``{seed}``.
        interfaces: the class maps of ``command`` have the interfaces of touching objects as a value above the last class.
        warm: begin from the set's starter instead of from nothing.
    """

    name: str
    title: str
    overlays: tuple[str, ...] = ()
    set: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None
    command: str | None = None
    interfaces: bool = False
    warm: bool = False


@dataclass(frozen=True)
class Run:
    """One training and its scores."""

    scale: Scale
    dataset: DataSet
    data: str
    method: Method
    seed: int

    @property
    def name(self) -> str:
        """Where it lies below the folder of the runs: ``<scale>/<set>-<variant>/<method>_s<seed>``."""
        return f"{self.scale.name}/{self.dataset.name}-{self.data}/{self.method.name}_s{self.seed}"

    @property
    def overlays(self) -> list[str]:
        """Config files after the bundle's own, the last one the strongest."""
        return [*self.scale.overlays, *self.dataset.overlays, *self.method.overlays]

    @property
    def values(self) -> dict[str, Any]:
        """Ids of the config that set and method change."""
        warm = {"init_weights": self.dataset.starter} if self.method.warm else {}
        return {**self.dataset.set, **warm, **self.method.set}


@dataclass(frozen=True)
class Group:
    """Rows that are compared with each other.

    Attributes:
        title: above the rows.
        rows: (set, variant, method) of each.
        seeds: each row's.
        reference: the row that the others are compared with.
    """

    title: str
    rows: tuple[tuple[DataSet, str, Method], ...]
    seeds: tuple[int, ...]
    reference: int = 0


@dataclass(frozen=True)
class Table:
    """A comparison.

    Attributes:
        name: of its file.
        title: above the table.
        groups: see :class:`Group`.
        section: whose images judge: testing, or validation for what chooses a setting.
        scale: see :class:`Scale`.
        own_scale: whether that is the one its file is made for.
    """

    name: str
    title: str
    groups: tuple[Group, ...]
    section: str
    scale: Scale
    own_scale: bool = True

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of all groups, in their order."""
        return tuple(dict.fromkeys(seed for group in self.groups for seed in group.seeds))

    def with_seeds(self, seeds: Sequence[int]) -> Table:
        """The same comparison with these seeds in every group."""
        return replace(self, groups=tuple(replace(group, seeds=tuple(seeds)) for group in self.groups))

    def runs(self) -> Iterator[Run]:
        """All runs once; all rows of the first seed come first."""
        seen = set()
        for seed in self.seeds:
            for group in self.groups:
                for dataset, data, method in group.rows if seed in group.seeds else ():
                    run = Run(self.scale, dataset, data, method, seed)
                    if run.name not in seen:
                        seen.add(run.name)
                        yield run


def read_table(path: str | Path, scale: str | None = None) -> Table:
    """Read a table and what it refers to.

    Args:
        path: such as ``configs/experiments/table1.yaml``; ``sets.yaml``, ``methods.yaml`` and ``scales.yaml`` lie beside it.
        scale: a name in ``scales.yaml``; default the one that the table names, otherwise "cpu".

    Raises:
        ExperimentError: for a file that is not there, a key that does not exist and a name that nothing defines.
    """
    path = Path(path)
    table = _load(path, {"title", "groups"}, {"seeds", "section", "scale"})
    sets = {
        name: DataSet(name, **_checked(entry, path.with_name("sets.yaml"), name, DataSet))
        for name, entry in _load(path.with_name("sets.yaml")).items()
    }
    methods = {
        name: Method(name, **_checked(entry, path.with_name("methods.yaml"), name, Method))
        for name, entry in _load(path.with_name("methods.yaml")).items()
    }
    scales = _load(path.with_name("scales.yaml"))
    own = str(table.get("scale", "cpu"))
    name = own if scale is None else scale
    size = Scale(name, **_checked(_get(scales, name, path.with_name("scales.yaml")), path, name, Scale))
    seeds = table.get("seeds", (0,))
    groups = tuple(_group({"seeds": seeds, **entry}, path, sets, methods) for entry in table["groups"])
    section = table.get("section", SECTIONS[0])
    if section not in SECTIONS:
        raise ExperimentError(f"{path}: section '{section}' must be {' or '.join(SECTIONS)}.")
    return Table(path.stem, str(table["title"]), groups, section, size, name == own)


def _group(entry: Mapping[str, Any], path: Path, sets: Mapping[str, DataSet], methods: Mapping[str, Method]) -> Group:
    """A group lists methods on one set and variant, or ``rows`` of ``{set, data, method}``."""
    known = ("set", "data", "methods", "rows", "reference", "seeds", "title")
    if unknown := set(entry) - set(known):
        raise ExperimentError(f"{path}: a group has no key '{sorted(unknown)[0]}'; use {', '.join(known)}.")
    rows = []
    for row in entry.get("rows") or [{"method": name} for name in entry.get("methods", [])]:
        dataset = _get(sets, row.get("set", entry.get("set")), path.with_name("sets.yaml"))
        method = _get(methods, row["method"], path.with_name("methods.yaml"))
        data = row.get("data") or method.data or entry.get("data", "lazy")
        if data not in dataset.variants:
            raise ExperimentError(f"{path}: set '{dataset.name}' has no variant '{data}': add it to sets.yaml.")
        if method.warm and dataset.starter is None:
            raise ExperimentError(f"{path}: '{method.name}' starts warm: name a starter for set '{dataset.name}' in sets.yaml.")
        rows.append((dataset, data, method))
    if not rows:
        raise ExperimentError(f"{path}: a group lists no methods.")
    if not isinstance(entry["seeds"], (list, tuple)) or not all(isinstance(seed, int) for seed in entry["seeds"]):
        raise ExperimentError(f"{path}: seeds {entry['seeds']} must be a list of whole numbers, such as [0, 1, 2].")
    names = [method.name for _, _, method in rows]
    reference = entry.get("reference", 0)
    if isinstance(reference, str):
        if reference not in names:
            raise ExperimentError(f"{path}: reference '{reference}' is none of the group's methods {', '.join(names)}.")
        reference = names.index(reference)
    return Group(str(entry.get("title", rows[0][0].title)), tuple(rows), tuple(entry["seeds"]), reference)


def _load(path: Path, required: Sequence[str] | set[str] = (), optional: Sequence[str] | set[str] = ()) -> dict[str, Any]:
    if not path.is_file():
        raise ExperimentError(f"{path} is not there: name a file of configs/experiments.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ExperimentError(f"{path} is not YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(content, dict):
        raise ExperimentError(f"{path} must hold keys and values.")
    if missing := [key for key in required if key not in content]:
        raise ExperimentError(f"{path}: the key '{missing[0]}' is missing.")
    if required and (unknown := set(content) - {*required, *optional}):
        raise ExperimentError(f"{path}: there is no key '{sorted(unknown)[0]}'; use {', '.join([*required, *optional])}.")
    return content


def _get(content: Mapping[str, Any], name: Any, path: Path) -> Any:
    if name not in content:
        raise ExperimentError(f"{path} has no '{name}'; it has {', '.join(content)}.")
    return content[name]


def _checked(entry: Any, path: Path, name: str, kind: type) -> dict[str, Any]:
    known = set(kind.__dataclass_fields__) - {"name"}
    if unknown := set(entry or {}) - known:
        raise ExperimentError(f"{path}: '{name}' has no key '{sorted(unknown)[0]}'; use {', '.join(sorted(known))}.")
    found = dict(entry or {})
    if "overlays" in found:
        found["overlays"] = tuple(found["overlays"])
    try:
        kind(name, **found)
    except TypeError:
        missing = known - set(found)
        raise ExperimentError(f"{path}: '{name}' lacks one of the keys {', '.join(sorted(missing))}.") from None
    return found


def arguments(command: str, **values: Any) -> list[str]:
    """Split a command of a variant or a method and fill in its fields, which may hold spaces.

    Raises:
        ExperimentError: for a field that has no value.
    """
    try:
        return [part.format(**values) for part in shlex.split(command)]
    except KeyError as error:
        raise ExperimentError(f"'{command}': nothing stands for {{{error.args[0]}}}; there are {', '.join(values)}.") from None
