"""What a person says about folders of labels, and what the names in them mean."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.annotations import Mark
from lazylabels_monai.option_text import naming, quoted, read_pairs
from lazylabels_monai.tasks import IGNORE

__all__ = [
    "ANNOTATIONS",
    "KINDS",
    "MOST_UNNAMED",
    "PICTURES",
    "BuildError",
    "BuildOptions",
    "Vocabulary",
    "are_gray",
    "kind_of",
    "named_ids",
    "parse_keyed",
    "parse_names",
]

#: Kinds of labels that are pictures of the image's size.
PICTURES: tuple[str, ...] = ("masks", "segmentation", "detection", "separation", "scribbles")
#: Kinds of labels that are files of drawn areas, lines and points; in ``exact`` and ``rough`` all areas are that.
ANNOTATIONS: tuple[str, ...] = ("annotations", "exact", "rough")
#: All kinds of labels.
KINDS = (*PICTURES, *ANNOTATIONS)
#: More values than this in class pictures without names are object ids, most probably.
MOST_UNNAMED = 20

_ALIASES = {"classes": "segmentation", "instances": "masks"}

_RESERVED = {
    "background": "background",
    "ignore": "ignore",
    "unlabelled": "ignore",
    "unlabeled": "ignore",
    "other": "other",
    "drop": "drop",
}
_INTERFACES = ("interface", "boundary", "contact")


class BuildError(LazyLabelsError):
    """A folder, a label or an option that no data set can be made from; the message names it and the remedy."""


@dataclass(frozen=True)
class BuildOptions:
    """How folders and files become a data set. The command's options of the same names; see docs/your-images.md.

    Args:
        labels: pairs of a kind (see :data:`KINDS`) and a folder, a file or a glob pattern, beside what the source's own
            folders hold.
        classes: names of the object classes 1, 2, ...; None takes those that the labels name, sorted.
        names: for a kind ("" for all), what a name or pixel value in the labels is called here.
        areas: whether drawn areas are "exact" or "rough"; the key is a class name as drawn, or "" for all others.
        interface: name under which interfaces were drawn, beside interface, boundary and contact.
        unlabelled: whether pixels that nobody marked are "background" or to "ignore"; the key is a kind, or "" for all.
        ids: what the values in ``masks`` are: None, object ids, which are checked; "values", object ids whatever they look
            like; "pieces", each connected piece of a value is an object. Likewise for exactly drawn areas of several pieces.
        halo: pixels around an exact object that are background where unmarked pixels are ignored; 0 for none.
        line_width: of drawn lines, in pixels.
        point_radius: of drawn points, in pixels.
        derive: whether exact objects also give inner regions and interfaces.
        gap: exact objects at most this many pixels apart touch.
        validation: count or share of the images for validation where the source has no such folder.
        test: likewise for testing.
        seed: of these draws and of the derived inner regions.
        keep_splits: an earlier data set whose images keep their split, or "none"; None is the one that is replaced.
        image_suffix: what follows an image's own name, such as ``_image``; other files are then no images.
        label_suffix: what follows it in a label's file name, beside the usual ``_mask``, ``_label``, ``_annotation`` ...
        legend: JSON file that says which colour of a label picture means what.
        link: refer to the images where they are instead of copying them.
        overwrite: replace an earlier data set.
        dry_run: write nothing.
    """

    labels: Sequence[tuple[str, str | os.PathLike]] = ()
    classes: Sequence[str] | None = None
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    areas: Mapping[str, str] = field(default_factory=dict)
    interface: str = "interface"
    unlabelled: Mapping[str, str] = field(default_factory=dict)
    ids: str | None = None
    halo: int = 3
    line_width: float = 3
    point_radius: float = 2
    derive: bool = True
    gap: int = 2
    validation: int | float | str = 0.2
    test: int | float | str = 0
    seed: int = 0
    keep_splits: str | os.PathLike | None = None
    image_suffix: str = ""
    label_suffix: str = ""
    legend: str | os.PathLike | None = None
    link: bool = False
    overwrite: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            BuildError: naming the option and its values.
        """
        for value in self.areas.values():
            if value not in ("exact", "rough"):
                raise BuildError(f"--areas {value}: write exact or rough, for one name --areas NAME=exact.")
        for key, value in self.unlabelled.items():
            if value not in ("ignore", "background"):
                raise BuildError(f"--unlabelled {value}: write ignore or background, for one kind --unlabelled masks=ignore.")
            _known_kind(key, "--unlabelled")
        if self.ids not in (None, "values", "pieces"):
            raise BuildError(
                f"--ids {self.ids}: write values (one value is one object) or pieces (each connected piece is an object)."
            )
        for key in self.names:
            _known_kind(key, "--names")
        for kind, path in self.labels:
            _known_kind(kind or "?", f"--labels {kind}={path}")
        for name, value, least in (
            ("halo", self.halo, 0),
            ("gap", self.gap, 0),
            ("line-width", self.line_width, 1),
            ("point-radius", self.point_radius, 0),
        ):
            if value < least:
                raise BuildError(f"--{name} {value} must be {least} or more.")
        if self.classes is not None:
            _check_classes(self.classes)


def kind_of(text: str) -> str:
    """A kind by its name or its alias (``classes`` is segmentation, ``instances`` is masks)."""
    return _ALIASES.get(text, text)


def _known_kind(kind: str, where: str) -> None:
    if kind and kind not in KINDS:
        raise BuildError(f"{where}: '{kind}' is no kind of label, use one of {', '.join(KINDS)}.")


def _check_classes(classes: Sequence[str]) -> None:
    if not classes or any(not name.strip() for name in classes):
        raise BuildError("--classes must name at least one class, such as --classes particle.")
    repeated = [name for i, name in enumerate(classes) if name.lower() in [c.lower() for c in classes[:i]]]
    if repeated:
        raise BuildError(f"--classes names '{repeated[0]}' twice: give every class a name of its own.")
    if "background" in [name.lower() for name in classes]:
        raise BuildError("--classes lists the background, which is always class 0: leave it out.")
    if len(classes) >= IGNORE:
        raise BuildError(f"--classes names {len(classes)} classes: at most {IGNORE - 1} fit into a label.")


def parse_keyed(values: Iterable[str] | None) -> dict[str, str]:
    """``["ignore", "masks=background"]`` as ``{"": "ignore", "masks": "background"}``."""
    parsed = {}
    for value in values or ():
        key, equals, said = value.rpartition("=")
        parsed[kind_of(key.strip()) if equals else ""] = said.strip()
    return parsed


def parse_names(values: Iterable[str] | None) -> dict[str, dict[str, str]]:
    """``["scribbles:1=background,2=cell"]`` as ``{"scribbles": {"1": "background", "2": "cell"}}``; no kind is "". The part
    behind the kind may be a JSON object.

    Raises:
        BuildError: for a part without ``=``, and what is no JSON object of texts.
    """
    parsed: dict[str, dict[str, str]] = {}
    for value in values or ():
        kind, colon, rest = value.partition(":")
        kind = kind_of(kind.strip())
        if not colon or kind not in KINDS:
            kind, rest = "", value
        pairs = read_pairs(rest)
        if pairs is None:
            raise BuildError(
                f"--names {value}: write OLD=NEW, for example --names scribbles:1=background,2=cell, or as JSON where a name "
                """holds a comma: --names '{"OLD": "NEW"}'."""
            )
        parsed.setdefault(kind, {}).update(pairs)
    return parsed


def are_gray(values: Iterable[int]) -> bool:
    """Whether pixel values are gray levels that people told classes apart by, such as 127, rather than numbers of classes."""
    return min(values) > MOST_UNNAMED


def named_ids(options: BuildOptions) -> list[int]:
    """Values of ``masks`` that ``--names masks:...`` says are no object ids."""
    return [int(old) for old in options.names.get("masks", {}) if re.fullmatch(r"-?\d+", old)]


class Vocabulary:
    """What names and pixel values mean: a class number, or one of background, ignore, interface, other, drop.

    Args:
        options: what the user said.
        classes: the object classes in the order of their values.
        legend: name of each colour of the legend.
        beside: names of the values 1, 2, ... of label pictures, by their folder, where their own order is another one.
    """

    #: Value of the first colour of the legend in a label picture; the others follow.
    LEGEND = 1 << 40

    def __init__(
        self,
        options: BuildOptions,
        classes: Sequence[str],
        legend: Sequence[str] = (),
        beside: Mapping[Path, Sequence[str]] | None = None,
    ) -> None:
        self.options = options
        self.classes = list(classes)
        self.legend = list(legend)
        self.beside = dict(beside or {})

    @staticmethod
    def renamed(options: BuildOptions, kind: str, name: str) -> str | None:
        """``name`` as ``--names`` calls it; None where it does not say. A pattern (``*``, ``?``) comes after a plain name."""
        for key in (kind, ""):
            table = {old.lower(): new for old, new in options.names.get(key, {}).items()}
            if name.lower() in table:
                return table[name.lower()]
            for pattern, new in table.items():
                if fnmatchcase(name.lower(), pattern):
                    return new
        return None

    @staticmethod
    def reserved(options: BuildOptions, name: str) -> str | None:
        """What ``name`` means where it is no object class: background, ignore, interface, other, drop; otherwise None."""
        low = name.lower()
        if options.classes is not None and low in [c.lower() for c in options.classes]:
            return None
        if low == options.interface.lower() or low in _INTERFACES:
            return "interface"
        return _RESERVED.get(low)

    def _meaning(self, name: str) -> int | str | None:
        if special := self.reserved(self.options, name):
            return special
        lower = [c.lower() for c in self.classes]
        return lower.index(name.lower()) + 1 if name.lower() in lower else None

    def of_mark(self, kind: str, mark: Mark, source: Path) -> int | str:
        """Meaning of a drawn mark.

        Raises:
            BuildError: for a name that is neither a class nor has a meaning of its own.
        """
        name = self.renamed(self.options, kind, mark.name)
        name = mark.name if name is None else name
        if not name and len(self.classes) == 1:
            return 1
        meaning = self._meaning(name) if name else None
        if meaning is None:
            called = f"the name '{name}'" if name else "no class name"
            raise BuildError(
                f"'{source}': mark {mark.id or '?'} has {called}, which is none of the classes {', '.join(self.classes)}: "
                f"{'add it to --classes, or ' if name else ''}say what it is with {naming(name, self.classes[0])} (or "
                "=background, =interface, =ignore, =drop)."
            )
        return meaning

    def of_value(self, kind: str, value: int, source: Path) -> int | str | None:
        """Meaning of a pixel value in a class picture; None where it says that nobody marked the pixel.

        Raises:
            BuildError: for a value without a meaning.
        """
        written = self.legend[value - self.LEGEND] if value >= self.LEGEND else str(value)
        name = self.renamed(self.options, kind, written)
        if name is None and value >= self.LEGEND:
            name = written
        if name is None and kind in ("segmentation", "detection") and not self.names_values(kind):
            names = self.beside.get(source.absolute().parent, ())
            name = names[value - 1] if 0 < value <= len(names) else None
        if name is not None:
            meaning = self._meaning(name)
            if meaning is None:
                raise BuildError(
                    f"'{source}': '{written}' means '{name}', which is none of the classes {', '.join(self.classes)}: add it "
                    f"to --classes, or say what it is with {naming(written, '...')}."
                )
            return meaning
        if value == 0:
            return None
        if value == IGNORE:
            self._refuse_gray(kind, source)
            return "ignore"
        if kind == "separation" and value == 1:
            return "interface"
        if kind == "separation" or self.names_values(kind):
            meant = "other" if kind == "separation" else self.classes[0]
            raise BuildError(
                f"'{source}' has the value {value}, which means nothing here: say what it is with --names "
                f"{quoted(f'{kind}:{value}={meant}')}."
            )
        if value > len(self.classes):
            raise BuildError(
                f"'{source}' has the value {value}, but there are {len(self.classes)} classes ({', '.join(self.classes)}): "
                f"name more --classes, say what it is with --names {kind}:{value}=..., or pass the folder as --labels masks= "
                "if these are object ids."
            )
        return value

    def _refuse_gray(self, kind: str, source: Path) -> None:
        """Where the user named gray values, such as 127, white may be an object as well: nobody said so."""
        tables = (self.options.names.get(kind, {}), self.options.names.get("", {}))
        named = {int(old) for table in tables for old in table if old.isdigit()} - {0}
        if named and are_gray(named):
            raise BuildError(
                f"'{source}' has the value {IGNORE} beside gray values such as {min(named)}, which are named: say what it is, "
                f"too, with --names {kind}:{IGNORE}=NAME if it is an object, or {kind}:{IGNORE}=ignore if it is not labelled."
            )

    def of_ids(self, source: Path) -> dict[int, int | str]:
        """Meaning of the values of ``masks`` that ``--names masks:...`` says are no object ids.

        Raises:
            BuildError: for a value without a meaning.
        """
        return {value: self.of_value("masks", value, source) for value in named_ids(self.options)}

    def names_values(self, kind: str) -> bool:
        """Whether ``--names`` says what the pixel values of a kind mean."""
        return any(key.isdigit() for key in self.options.names.get(kind, {})) or (
            kind != "masks" and any(key.isdigit() for key in self.options.names.get("", {}))
        )

    def exact(self, kind: str, mark: Mark, source: Path) -> bool:
        """Whether a drawn area follows its object's outline.

        Raises:
            BuildError: where the user has to say so.
        """
        if kind in ("exact", "rough"):
            return kind == "exact"
        said = {key.lower(): value for key, value in self.options.areas.items()}
        value = said.get(mark.name.lower(), said.get(""))
        if value is None:
            raise BuildError(
                f"'{source}' holds areas: say --areas exact if they follow the objects' outlines, --areas rough if they are "
                f"rough regions inside (--areas {quoted(mark.name or 'NAME')}=exact for one name)."
            )
        return value == "exact"

    def said_background(self, kind: str) -> bool:
        """Whether the user said in so many words that pixels which nobody marked are background."""
        return self.options.unlabelled.get(kind, self.options.unlabelled.get("")) == "background"

    def ignores(self, kind: str, task: str, marked: Iterable[str] = ()) -> bool:
        """Whether pixels that nobody marked are unknown, rather than background.

        Where background (of interfaces: "other") is marked in its own right, what is left over is unknown.

        Args:
            kind: of the label.
            task: whose pixels are asked for.
            marked: meanings that occur among the drawn marks of the data set.
        """
        said = self.options.unlabelled.get(kind, self.options.unlabelled.get(""))
        if said is not None:
            return said == "ignore"
        own = "other" if task == "separation" else "background"
        table = {**self.options.names.get("", {}), **self.options.names.get(kind, {})}
        values = [self.reserved(self.options, new) for old, new in table.items() if old.isdigit() and old != "0"]
        return kind == "scribbles" or own in marked or (kind in PICTURES and own in values)
