"""What made the results in a folder: a stamp of the weights and the settings, and a record of each image.

They lie beside the results in ``predicted.jsonl``, a line of JSON each, of which a later one wins::

    {"stamp": "3f2a..", "weights": "9c1b..", "file": "model.pt", "settings": {...}, "version": "0.1.0", "answers": 1}
    {"result": "a", "stamp": "3f2a..", "image": "../images/a.png", "digest": "77d0..", "facts": [5120, 17.., 17..]}
    {"result": "a", "stamp": null}
    {"run": "3f2a..", "date": "2026-11-27", "versions": {...}, "weights_at": "../model.pt", ...}

The third line says that what lies there of ``a`` is being replaced, the last how a stamp's results were made, for people, and
where the weights lay. Lines are appended, never altered, by one process at a time and each in one write: what a kill cuts short
is no line, and a result without a line is of unknown origin.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

import lazylabels_monai
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.provenance import made
from lazylabels_monai.regular import why_no_file
from lazylabels_monai.result_files import CLASSES_ENDING, INSTANCES_ENDING, RECORDS_FILE, image_stem, predicted_files

__all__ = [
    "ANSWERS",
    "Record",
    "Records",
    "Stamp",
    "StampError",
    "as_recorded",
    "described",
    "file_digest",
    "from_folder",
    "locked",
    "require_one_stamp",
    "told_other_images",
    "told_twice",
    "unlock",
]

#: Raised by a version that answers otherwise than the one before from the same weights and settings. 2: windows lie evenly.
ANSWERS = 2

#: Attributes that say how a result is computed, not what it is.
_NO_MATTER = frozenset(
    ["R", "buffer_dim", "buffer_steps", "cpu_thresh", "device", "progress", "roi_weight_map", "sw_batch_size", "sw_device"]
)

#: How deep :func:`described` looks into objects.
_DEPTH = 8

#: Differences that a sentence names.
_NAMED = 4


def file_digest(path: str | os.PathLike) -> str:
    """32 hexadecimal digits of a file's bytes; of a folder (a Zarr picture) those of all its files and their names."""
    content = hashlib.blake2b(digest_size=16)
    if os.path.isdir(path):
        for file in sorted(found for found in Path(path).rglob("*") if found.is_file()):
            content.update(f"{file.relative_to(path).as_posix()}\0{file_digest(file)}\n".encode("utf-8", "surrogateescape"))
        return content.hexdigest()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content.hexdigest()


def described(value: Any, depth: int = _DEPTH) -> Any:
    """An object as JSON can hold it: its class and its public attributes, so that two that do the same read the same.

    Args:
        value: a setting, or an object made by a config, such as a chain of transforms.
        depth: levels to look into.
    """
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Mapping):
        return {str(key): described(item, depth - 1) for key, item in value.items()} if depth else "..."
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [described(item, depth - 1) for item in items] if depth else "..."
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "__array__") and hasattr(value, "shape"):
        array = np.asarray(value)
        if array.dtype != object:
            return f"{array.dtype}{array.shape} {hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()}"
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, Enum) or not hasattr(value, "__dict__"):
        text = str(value)
        return kind if " at 0x" in text else text  # an address says nothing
    if not depth:
        return kind
    public = {name: item for name, item in sorted(vars(value).items()) if name[0] != "_" and name not in _NO_MATTER}
    return {"class": kind, **{name: described(item, depth - 1) for name, item in public.items()}}


@dataclass(frozen=True)
class Stamp:
    """What made a result.

    Args:
        weights: :func:`file_digest` of the weights.
        settings: what else the answer depends on, as JSON holds it: classes, network, preprocessing, windows, routes, ...
        file: name of the weights, for people.
        version: of this package, for people.
        answers: :data:`ANSWERS` of that version.
    """

    weights: str
    settings: Mapping[str, Any]
    file: str = "model.pt"
    version: str = lazylabels_monai.__version__
    answers: int = ANSWERS

    @property
    def id(self) -> str:
        """16 hexadecimal digits that two stamps share only where the same weights and settings answer."""
        text = json.dumps([self.weights, self.settings, self.answers], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def having(self, **settings: Any) -> Stamp:
        """The stamp with further settings."""
        return replace(self, settings=json.loads(json.dumps({**self.settings, **settings})))

    def unlike(self, other: Stamp, words: str = "{} {} there, {} now") -> str:
        """How ``other`` differs, in words: "weights model.pt (9c1b22) there, model.pt (77d01e) now"."""
        found = []
        if self.weights != other.weights:
            found.append(("weights", *(f"{stamp.file} ({stamp.weights[:6]})" for stamp in (self, other))))
        found += _differences(self.settings, other.settings)
        if self.answers != other.answers:
            found.append(("version", self.version, other.version))
        found = [words.format(*values) if len(values) == 3 else f"another {values[0]}" for values in found]
        more = len(found) - _NAMED
        return "; ".join(found[:_NAMED]) + (f"; and {more} settings more" if more > 0 else "")


def _differences(there: Any, now: Any, name: str = "") -> list[tuple[str, ...]]:
    """Names of settings, with both values where they are short."""
    if there == now:
        return []
    if isinstance(there, Mapping) and isinstance(now, Mapping):
        found = []
        for key in dict.fromkeys((*there, *now)):
            found += _differences(there.get(key), now.get(key), f"{name}.{key}" if name else str(key))
        return found
    if isinstance(there, list) and isinstance(now, list) and len(there) == len(now) and _nested(there):
        pairs = enumerate(zip(there, now, strict=True))
        return [found for number, pair in pairs for found in _differences(*pair, f"{name}.{number}")]
    shown = [_shown(value) for value in (there, now)]
    return [(name, *shown)] if shown[0] != shown[1] and max(map(len, shown)) <= 60 else [(name,)]


def _nested(values: list) -> bool:
    return any(isinstance(value, (list, Mapping)) for value in values)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) and value and not _nested(value) else str(value)


@dataclass(frozen=True)
class Record:
    """Which image a result is of, and which stamp made it.

    Args:
        stamp: id of the stamp; None while the result is being replaced.
        image: path of the image from the folder of the results.
        digest: :func:`file_digest` of the image.
        facts: size in bytes, and times of the last change of content and of the entry in the folder in nanoseconds: a file of
            the same ones need not be read again.
        class_map: :func:`file_digest` of the class map, by which one that was altered or put there is told.
        files: names of all files of the result, with :func:`file_digest` of the class maps and ids, which people correct, and
            "" for the others; empty where an earlier version wrote the record. While the result is being replaced those of
            both.
        pixels: :func:`~lazylabels_monai.images.digest.file_pixels` of the image, for files whose tags alone were changed; ""
            where it is unknown.
    """

    stamp: str | None
    image: str = ""
    digest: str = ""
    facts: tuple[int, ...] = ()
    class_map: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    pixels: str = ""

    @classmethod
    def of(cls, stamp: Stamp, image: str | os.PathLike, folder: str | os.PathLike) -> Record:
        """The record of an image as it is now."""
        facts = _facts(image)  # before the content: what changes meanwhile is seen the next time
        return cls(stamp.id, from_folder(image, folder), file_digest(image), facts)

    def giving(self, result: str | os.PathLike, others: Iterable[str | os.PathLike] | None = None) -> Record:
        """The record with the digest of the class map and, where they are known, the names of all files that were made."""
        class_map = file_digest(result)
        if others is None:
            return replace(self, class_map=class_map)
        digests = {Path(file).name: file_digest(file) if _is_corrected(file) else "" for file in others}
        return replace(self, class_map=class_map, files={**digests, Path(result).name: class_map})

    def same_image(self, image: str | os.PathLike, pixels: Callable[[str | os.PathLike], str] | None = None) -> bool:
        """Whether a file has the content of the recorded one, wherever it lies now.

        Args:
            image: the file.
            pixels: gives ``pixels`` of a file: one of other bytes with the same pixels is the same image then.
        """
        return self.same_bytes(image) or bool(
            pixels and self.pixels and why_no_file(image) is None and self.pixels == pixels(image)
        )

    def same_bytes(self, image: str | os.PathLike) -> bool:
        """Whether a file has the bytes of the recorded one."""
        if os.path.isdir(image):  # whose own facts do not tell of the files in it
            return self.digest == file_digest(image)
        if why_no_file(image) is not None:
            return False
        return self.facts == _facts(image) or self.digest == file_digest(image)

    def altered(self, files: Iterable[str | os.PathLike]) -> tuple[Path, bool] | None:
        """The first of some class maps and ids that is not as it was made; whether that is proven.

        Records of earlier versions tell of the class map alone: nothing is proven of ids then.
        """
        for file in map(Path, files):
            known = self.files.get(file.name, "" if self.files else None)
            if known is None:
                known = self.class_map if image_stem(file).endswith(CLASSES_ENDING) and file.is_file() else ""
                if not known:
                    return file, False
            if known != file_digest(file):
                return file, True
        return None

    def same_place(self, image: str | os.PathLike, folder: str | os.PathLike) -> bool:
        """Whether a file lies where the recorded one lay."""
        return self.image == from_folder(image, folder)


def _is_corrected(file: str | os.PathLike) -> bool:
    """Whether a file of a result is of those that people correct by hand."""
    return image_stem(file).endswith((CLASSES_ENDING, INSTANCES_ENDING))


def _facts(path: str | os.PathLike) -> tuple[int, ...]:
    found = os.stat(path)
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def from_folder(image: str | os.PathLike, folder: str | os.PathLike) -> str:
    """Path from one to the other, however both were named; no path of this machine but to another of its disks."""
    place = os.path.join(os.path.realpath(Path(image).parent), Path(image).name)
    try:
        return Path(os.path.relpath(place, os.path.realpath(folder))).as_posix()
    except ValueError:  # another disk of Windows
        return Path(place).as_posix()


class StampError(LazyLabelsError):
    """Results were about to be mixed with those of another stamp."""


@dataclass
class Records:
    """The lines of a folder's ``predicted.jsonl``.

    Args:
        folder: of the results; it and the file may be missing.
    """

    folder: Path
    stamps: dict[str, Stamp] = field(default_factory=dict)
    images: dict[str, Record] = field(default_factory=dict)
    _weights_at: dict[str, str] = field(default_factory=dict)
    _read: int = 0

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        self.refresh()

    @property
    def file(self) -> Path:
        """Where the lines are."""
        return self.folder / RECORDS_FILE

    def refresh(self) -> Records:
        """Read the lines that came since; returns itself."""
        try:
            with open(self.file, "rb") as file:
                if file.seek(0, os.SEEK_END) < self._read:  # somebody has removed it meanwhile
                    self._read = 0
                    self.stamps.clear()
                    self.images.clear()
                file.seek(self._read)
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return self
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                self._take(dict(json.loads(line)))
            except (ValueError, TypeError, KeyError):  # cut short by a kill
                continue
        return self

    def _take(self, line: dict[str, Any]) -> None:
        if "result" in line:
            name = str(line.pop("result"))
            line["facts"] = tuple(line.get("facts", ()))
            self.images[name] = Record(**line)
        elif "weights" in line:
            name = line.pop("stamp")
            self.stamps.pop(name, None)  # the last line is the current one
            self.stamps[name] = Stamp(**line)
        elif "weights_at" in line:
            self._weights_at[line["run"]] = str(line["weights_at"])

    def weights_of(self, stamp: str) -> Path | None:
        """The weights of a stamp, where they still lie as they were when it was written; None where they do not."""
        place = self.folder / self._weights_at.get(stamp, "")
        there = stamp in self._weights_at and why_no_file(place) is None and file_digest(place) == self.stamps[stamp].weights
        return place if there else None

    @property
    def current(self) -> str | None:
        """Id of the stamp of those who write into the folder now."""
        return next(reversed(self.stamps), None)

    def add_stamp(self, stamp: Stamp, weights: str | os.PathLike | None = None) -> None:
        """Append a stamp, and where its weights lie, unless it is the current one; for the holder of :func:`locked`."""
        if stamp.id != self.refresh().current:
            self._append({"stamp": stamp.id, **vars(stamp)})
            at = {} if weights is None else {"weights_at": from_folder(weights, self.folder)}
            self._append({"run": stamp.id, **made(), **at})

    def add(self, result: str, record: Record) -> None:
        """Append the record of a result; see :meth:`adding`."""
        with self.adding(result, record):
            pass

    @contextmanager
    def adding(self, result: str, record: Record) -> Iterator[None]:
        """Append the record of a result, and let nobody begin with another stamp until its file is in place.

        Raises:
            StampError: when somebody has.
        """
        with locked(self.folder):
            self._require_current(record.stamp)
            self._append({"result": result, **vars(record)})
            yield

    def void(self, result: str, stamp: Stamp, files: Iterable[str] = ()) -> None:
        """Say that what lies there of a result is being replaced.

        Args:
            result: name of the image.
            stamp: of those who replace it.
            files: names of all files that are removed or come.

        Raises:
            StampError: when somebody has begun with another stamp.
        """
        with locked(self.folder):
            self._require_current(stamp.id)
            self._append({"result": result, "stamp": None, "files": dict.fromkeys(files, "")})

    def _require_current(self, stamp: str | None) -> None:
        if stamp != self.refresh().current:
            raise StampError(
                f"another process has begun to predict otherwise into '{self.folder}': run one at a time, or name another "
                "folder."
            )

    def _append(self, line: Mapping[str, Any]) -> None:
        _require_no_link(self.file)
        text = (json.dumps(line) + "\n").encode()
        with open(self.file, "ab+", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                text = text if file.read(1) == b"\n" else b"\n" + text
            if file.write(text) < len(text):  # unbuffered: a full disk takes what it has room for, and says so the next time
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.file))
        self.refresh()

    def unchanged(self, result: str, files: Iterable[str | os.PathLike]) -> bool:
        """Whether the lines prove that class maps and ids of a result are as they were predicted."""
        record = self.images.get(result)
        return record is not None and record.stamp is not None and record.altered(files) is None

    def by_stamp(self, results: Iterable[str]) -> dict[str | None, list[str]]:
        """Names of results by the id of their stamp, None for those of unknown origin."""
        found: dict[str | None, list[str]] = {}
        for name in sorted(results):
            record = self.images.get(name)
            known = record is not None and record.stamp in self.stamps
            found.setdefault(record.stamp if known else None, []).append(name)
        return found


def _require_no_link(file: Path) -> None:
    """A folder of results may be a stranger's: what is written there goes into no file elsewhere.

    Raises:
        LazyLabelsError: for a link.
    """
    if file.is_symlink():
        raise LazyLabelsError(f"'{file}' is a link, which is not written to: remove it, or name another folder.")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only process that writes a folder's lines."""
    _require_no_link(folder / _LOCK)
    with FileLock(folder / _LOCK):
        yield


#: In the folder of the results, while they are written.
_LOCK = ".predicted.lock"


def unlock(folder: Path) -> None:
    """Remove the file of the lock. Who holds it just now may go on: a line is one write, and the stamp is there by now."""
    (Path(folder) / _LOCK).unlink(missing_ok=True)


def require_one_stamp(folder: str | os.PathLike, results: Iterable[str] | None = None) -> tuple[Stamp | None, list[str]]:
    """What made the results of a folder, which must be one and the same.

    Args:
        folder: of the results.
        results: names of those that are used; default all that have a class map there.

    Returns:
        the stamp, None where no result says what made it; and the names of those that do not, or that were altered since.

    Raises:
        LazyLabelsError: when two results were made otherwise.
    """
    records = Records(Path(folder))
    files = predicted_files(folder)
    found = records.by_stamp(files if results is None else results)
    unknown = found.pop(None, [])
    for stamp, names in list(found.items()):  # a class map that is another one by now
        other = {name for name in names if name in files and not as_recorded(records.images[name], files[name])}
        unknown = sorted([*unknown, *other])
        found[stamp] = [name for name in names if name not in other]
    found = {stamp: names for stamp, names in found.items() if names}
    if len(found) > 1:
        (one, some), (other, more) = sorted(found.items(), key=lambda pair: -len(pair[1]))[:2]
        unlike = records.stamps[one].unlike(records.stamps[other], "{} {} and {}")
        raise LazyLabelsError(
            f"'{folder}' mixes results: those of {_images(some)} and those of {_images(more)} were made otherwise ({unlike}); "
            "predict all of them again with --overwrite, or in a folder for each."
        )
    return (records.stamps[next(iter(found))], unknown) if found else (None, unknown if records.stamps else [])


def told_other_images(
    folder: str | os.PathLike, images: Mapping[str, str | os.PathLike], pixels: Callable[[str | os.PathLike], str]
) -> str | None:
    """The sentence about images that are not those that the results of their names were made of; None where there are none.

    Args:
        folder: of the results.
        images: the image that each result is taken for, by the result's name.
        pixels: see :meth:`Record.same_image`.
    """
    records = Records(Path(folder)).images
    known = {name: records[name] for name in images if name in records}
    made = {name: record for name, record in known.items() if record.stamp is not None and record.digest}
    others = [images[name] for name, record in made.items() if not record.same_image(images[name], pixels)]
    if not others:
        return None
    return (
        f"{len(others)} of {len(images)} images are not those that were predicted into '{folder}' ('{others[0]}' is one): "
        "predict them again, unless their intensities alone were changed on purpose."
    )


def told_twice(folder: str | os.PathLike, results: Iterable[str], asked: Iterable[str] | None = None) -> str | None:
    """The sentence about results of one picture under several names, such as one that was renamed; None where there are none.

    Args:
        folder: of the results.
        results: names of those that are used.
        asked: names of which one must be among them; None: of all.
    """
    records = Records(Path(folder))
    among = None if asked is None else set(asked)
    found = []
    for names in _same_pictures(records, results):
        there = [name for name in names if os.path.lexists(records.folder / records.images[name].image)]
        gone = [name for name in names if name not in there]
        if there and gone and (among is None or among & set(names)):  # pictures that are all there are as many, if alike
            found += [(name, there[0]) for name in gone]
    if not found:
        return None
    old, new = found[0]
    files = [name for name in records.images[old].files if os.path.lexists(records.folder / name)]
    more = "" if len(found) == 1 else f" (the first of {len(found)} such)"
    return (
        f"'{folder}' holds results of one picture under two names, '{old}', which is no more there, and '{new}'{more}, and its "
        f"objects are counted twice: remove {', '.join(sorted(files)) or f'the files of {old!r}'} there."
    )


def _same_pictures(records: Records, results: Iterable[str]) -> list[list[str]]:
    """Names of results whose pictures have the same bytes, or the same pixels, where there are two and more."""
    groups: list[list[str]] = []
    by_content: dict[str, list[str]] = {}
    for name in sorted(results):
        record = records.images.get(name)
        if record is None or record.stamp is None:
            continue
        keys = [key for key in (record.digest, record.pixels) if key]
        group = next((by_content[key] for key in keys if key in by_content), None)
        if group is None:
            groups.append(group := [])
        group.append(name)
        by_content.update(dict.fromkeys(keys, group))
    return [group for group in groups if len(group) > 1]


def as_recorded(record: Record, file: Path) -> bool:
    """Whether a class map is the one that was predicted, as far as the record says."""
    return not record.class_map or record.class_map == file_digest(file)


def _images(names: list[str]) -> str:
    return f"{len(names)} images ('{names[0]}', ...)" if len(names) > 1 else f"'{names[0]}'"
