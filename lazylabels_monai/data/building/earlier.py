"""What holds of the images of an earlier data set when it is made again: their splits, and the order of classes."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lazylabels_monai.data.building.options import BuildError
from lazylabels_monai.data.carrying import digest_of
from lazylabels_monai.data.datalist import (
    FILE_NAME,
    SECTIONS,
    DatalistError,
    absolute_path,
    datalist_file,
    load_datalist,
)

__all__ = [
    "GONE",
    "NO_SPLITS",
    "EarlierSplits",
    "earlier_classes",
    "earlier_splits",
    "held_out",
    "kept_order",
    "made_before",
]

#: Key of a datalist under which images that are no longer there are remembered: their split by digest.
GONE = "gone"

#: Value of ``--keep-splits`` that draws all images anew.
NO_SPLITS = "none"

#: Data sets beside a new one that are looked at for their source.
_LOOKED_AT = 50


def held_out(sections: Sequence[str]) -> str:
    """The one split of an image that is claimed by several: testing before validation before training."""
    return max(sections, key=SECTIONS.index)


@dataclass
class EarlierSplits:
    """Splits of an earlier data set.

    Args:
        file: its datalist.
        by_digest: split of each content, of images that are gone, too.
        by_name: split and digest of each image by the lower stem of its file; the digest is "" where it is not known.
        unread: images whose content is not known, so that their names alone say which they are.
    """

    file: Path
    by_digest: dict[str, str] = field(default_factory=dict)
    by_name: dict[str, tuple[str, str]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def places(self, images: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Split of those images that have one already, by their name.

        The content says which image it is. The name does where nothing of that content is known and no image of the
        earlier content is there: it was exported again or retouched.

        Args:
            images: name and digest of each image.
        """
        here = {digest for _, digest in images}
        found = {}
        for name, digest in images:
            if digest in self.by_digest:
                found[name] = self.by_digest[digest]
            elif name.lower() in self.by_name:
                section, before = self.by_name[name.lower()]
                if before not in here:
                    found[name] = section
        return found

    def all_train(self) -> bool:
        """Whether no image stands anywhere but in training."""
        return {*self.by_digest.values(), *(section for section, _ in self.by_name.values())} <= {"training"}

    def before(self, other: EarlierSplits) -> EarlierSplits:
        """These splits, and for other images those of another data set."""
        return replace(
            self,
            by_digest={**other.by_digest, **self.by_digest},
            by_name={**other.by_name, **self.by_name},
            unread=[*self.unread, *other.unread],
        )

    def gone(self, digests: Collection[str]) -> dict[str, str]:
        """Contents of which no image is there, with their split: what was trained on must not validate when it is back."""
        return {digest: section for digest, section in self.by_digest.items() if digest not in digests}


def earlier_splits(
    out: Path, keep: str | os.PathLike | None, overwrite: bool, given: Path | None = None
) -> EarlierSplits | None:
    """Splits to keep: those of the data set that is named, else of the one that is replaced; None where all are drawn.

    Args:
        out: folder that is made.
        keep: an earlier data set, its datalist, or :data:`NO_SPLITS`.
        overwrite: whether an earlier data set in ``out`` is replaced.
        given: a data set of which ``out`` is made: its images keep their splits, too, before those of others; where all train,
            as a window puts them, nobody has drawn any.

    Raises:
        BuildError: where there is none, or it cannot be read.
    """
    if str(keep) == NO_SPLITS:
        return None
    first = None if given is None else _read(given / FILE_NAME)
    if first is not None and first.all_train():
        first = None
    if keep is None:
        if not (overwrite and (out / FILE_NAME).is_file()):
            return first
        file = out / FILE_NAME
    else:
        file = datalist_file(keep)
        if not file.is_file():
            raise BuildError(f"--keep-splits {keep}: there is no {FILE_NAME}: name an earlier data set, or {NO_SPLITS}.")
    try:
        found = _read(file)
        return found if first is None else first.before(found)
    except DatalistError as error:
        raise BuildError(
            f"'{file}' cannot be read, so that no image can keep its split ({error.errors[0].rstrip('.')}): correct it, or "
            f"pass --keep-splits {NO_SPLITS} to draw all splits anew."
        ) from error


def earlier_classes(out: Path, overwrite: bool) -> list[str]:
    """Classes of the data set that is replaced, where it was made of a person's labels; none where nothing is."""
    try:
        content = json.loads((out / FILE_NAME).read_text(encoding="utf-8-sig")) if overwrite else {}
        return [str(name) for name in content["classes"]] if "build" in content else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def kept_order(found: Sequence[str], before: Sequence[str], are_named: bool) -> list[str]:
    """Classes in the order that they had before, so that a value goes on meaning the same; new ones follow.

    Args:
        found: classes that the labels name.
        before: those of the data set that is replaced.
        are_named: whether the labels do name them; numbers that nobody named get the names of before.
    """
    if not are_named:
        return list(before) if len(found) <= len(before) else list(found)
    names, old = {name.lower(): name for name in found}, [name.lower() for name in before]
    kept = [names[name] for name in old if name in names]
    return [*kept, *(name for name in found if name.lower() not in old)]


def made_before(out: Path, src: Path) -> Path | None:
    """A data set beside ``out`` that was made of the same folder, the newest; its splits are not kept unless asked for."""
    found = []
    for file in sorted(out.absolute().parent.glob(f"*/{FILE_NAME}"))[:_LOOKED_AT]:
        try:
            said = json.loads(file.read_text(encoding="utf-8-sig")).get("build", {})
            same = os.path.abspath(said["source"]) == os.path.abspath(src)
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            continue  # not ours to judge
        if same and file.parent != out.absolute():
            found.append((file.stat().st_mtime, file.parent))
    return max(found)[1] if found else None


def _read(file: Path) -> EarlierSplits:
    content = load_datalist(file)
    found = EarlierSplits(file)
    items = [(section, item) for section in SECTIONS for item in content.get(section, [])]
    stems = [Path(item["image"]).stem.lower() for _, item in items]
    count = Counter(stems)
    for (section, item), stem in zip(items, stems, strict=True):
        digest = item.get("digest") or digest_of(Path(absolute_path(file, item["image"])))
        if digest:
            before = [found.by_digest[digest]] if digest in found.by_digest else []
            found.by_digest[digest] = held_out([section, *before])
        else:
            found.unread.append(item["image"])
        if count[stem] == 1:  # else the name says nothing
            found.by_name[stem] = (section, digest)
    gone = content.get(GONE)
    for digest, section in gone.items() if isinstance(gone, dict) else ():
        if section in SECTIONS:
            found.by_digest.setdefault(digest, section)
    return found
