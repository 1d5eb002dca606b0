"""The folder of a prediction's results: which of them are there, what made them, and what of a person is never replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lazylabels_monai.atomic import remove_tree
from lazylabels_monai.errors import LazyLabelsError, some
from lazylabels_monai.images.digest import file_pixels
from lazylabels_monai.predicting.stamping import made_files, require_same_stamp, result_paths
from lazylabels_monai.progress import Progress
from lazylabels_monai.result_files import (
    CLASSES_ENDING,
    CLASSES_FILE,
    INSTANCES_ENDING,
    image_stem,
    predicted_files,
    predicted_stems,
)
from lazylabels_monai.stamps import Record, Records, Stamp, locked, told_twice, unlock
from lazylabels_monai.trained import WEIGHTS_FILE, write_classes

__all__ = ["ResultsFolder"]


class ResultsFolder:
    """The folder of the results: which are there, and what made them.

    Args:
        out: the folder.
        stamp: of the results to come.
        overwrite: results that are there are replaced.
        weights: of the stamp, for people who ask for them again; None: nobody knows where they lie.
    """

    def __init__(self, out: Path, stamp: Stamp, overwrite: bool = False, weights: Path | None = None) -> None:
        self.out, self.stamp, self.overwrite, self.weights = out, stamp, overwrite, weights
        self.records = Records(out)

    def begin(
        self,
        paths: Sequence[Path],
        classes: Sequence[str],
        alike: Callable[[Path], bool | None],
        say: Progress,
    ) -> None:
        """Write the stamp and the names of the classes, unless something there forbids it.

        Args:
            paths: the images that are asked for.
            classes: names of the classes.
            alike: tells whether the result of an image is what would be predicted now.
            say: is told what a user should know of results that are there.

        Raises:
            LazyLabelsError: when results or files there would be mixed or replaced.
        """
        overwrite = self.overwrite
        there, asked = set(predicted_stems(self.out)), {image_stem(path): path for path in paths}
        replaced = [*asked] if overwrite else []
        remedy = ", or replace them with --overwrite" if not overwrite and there <= set(asked) else ", or remove these results"
        require_same_stamp(self.records, self.stamp, replaced, remedy, self.weights)
        unknown = self.records.by_stamp(there - set(replaced)).get(None, [])
        self._check_classes(classes, there, bool(unknown), overwrite)
        self._check_files(paths)
        checked = None
        if not overwrite:
            self._check_images(asked, there, say)
            self._tell_without_ids([asked[name] for name in sorted(there & set(asked))], say)
            checked = self._check_unknown([asked[name] for name in unknown if name in asked], alike)
            unknown = [name for name in unknown if checked is None or name != image_stem(checked)]
        if unknown:
            say(f"left as they are, though nothing says what made them (an earlier version?): {some(unknown)}")
        self.out.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.out):  # another process may have begun since
                require_same_stamp(self.records.refresh(), self.stamp, replaced, remedy, self.weights)
                self.records.add_stamp(self.stamp, self.weights)
                if overwrite or not (self.out / CLASSES_FILE).is_file():
                    write_classes(self.out, classes)  # so that measurements and reports call them by their names
            if checked is not None:
                record = Record.of(self.stamp, checked, self.out)
                self.records.add(image_stem(checked), record.giving(predicted_files(self.out)[image_stem(checked)]))
            self._renew(asked)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Leave no file of a lock behind."""
        unlock(self.out)

    def tell_twice(self, paths: Sequence[Path], say: Progress) -> None:
        """Name results of a picture under another name, which measurements would count, too."""
        if sentence := told_twice(self.out, predicted_stems(self.out), map(image_stem, paths)):
            say(sentence)

    def is_done(self, path: Path) -> bool:
        """Whether the results of an image are there, made by the stamp from the image as it is; or of unknown origin."""
        if not any(os.path.isfile(file) for file in result_paths(self.out, path, [CLASSES_ENDING])):
            return False
        record = self.records.refresh().images.get(image_stem(path))
        if record is not None and not (record.stamp == self.stamp.id and record.same_image(path, file_pixels)):
            return False
        return not (self._lacks_ids(path) and self._makes_ids_again(path))

    def _lacks_ids(self, path: Path) -> bool:
        """Whether no ids lie beside a class map, though this prediction makes some: pieces would be counted in their place."""
        return bool(self.stamp.settings.get("instances")) and not result_paths(self.out, path, [INSTANCES_ENDING])

    def _makes_ids_again(self, path: Path) -> bool:
        """Whether ids that are gone come back, as nobody can have meant a class map that is as it was predicted with them."""
        record = self.records.images.get(image_stem(path))
        made = record is not None and any(image_stem(name).endswith(INSTANCES_ENDING) for name in record.files)
        return made and self.why_kept(path) is None

    def why_kept(self, path: Path) -> str | None:
        """Why an image is not to be predicted again unless told, as its result may have been corrected by hand; else None."""
        record = self.records.refresh().images.get(image_stem(path))
        if record is None or record.stamp is None:
            return None
        found = record.altered(result_paths(self.out, path, [CLASSES_ENDING, INSTANCES_ENDING]))
        if found is None:
            return None
        file, proven = found
        why = "was corrected by hand" if proven else "may have been corrected by hand, which its record cannot tell"
        return (
            f"'{path}' would be predicted again, but '{file}' {why}, and is left as it is: move it away, or replace it with "
            "--overwrite."
        )

    def _renew(self, asked: Mapping[str, Path]) -> None:
        """Images of the same pixels in other bytes are known by these from now on, so that they are read once."""
        for stem, path in asked.items():
            record = self.records.images.get(stem)
            known = record is not None and record.stamp == self.stamp.id
            if known and not record.same_bytes(path) and record.same_image(path, file_pixels):
                now = Record.of(self.stamp, path, self.out)
                self.records.add(stem, replace(record, digest=now.digest, facts=now.facts))

    def move_in(self, partial: Path, path: Path, record: Record) -> None:
        """Put an image's files in place of those of an earlier prediction, of which none stays.

        The file that says that the image is done goes first and comes last, so that a kill leaves an image that is not done;
        its record comes just before it, so that no result lies there with another's record.

        What no prediction made stays; what of it is in the way is replaced with ``overwrite`` alone.

        Raises:
            StampError: when another process has begun to predict otherwise into the folder.
            LazyLabelsError: when a file of the user's is in the way.
        """
        stem, new = image_stem(path), [self.out / file.name for file in partial.iterdir()]
        former = made_files(self.records.refresh(), path)
        in_the_way = [file for file in new if os.path.lexists(file) and file not in former]
        if in_the_way and not self.overwrite:
            raise LazyLabelsError(_no_result(in_the_way[0], path, replaceable=True))
        self.records.void(stem, self.stamp, [file.name for file in (*former, *new)])
        for old in (*former, *in_the_way):  # the class map first
            remove_tree(old) if old.is_dir() and not old.is_symlink() else old.unlink(missing_ok=True)
        *others, last = sorted(partial.iterdir(), key=lambda f: (f.stem.endswith(CLASSES_ENDING) and f.is_file(), f.name))
        for file in others:
            os.replace(file, self.out / file.name)
        with self.records.adding(stem, record.giving(last, (self.out / file.name for file in others))):
            os.replace(last, self.out / last.name)

    def _check_classes(self, classes: Sequence[str], there: set[str], unknown: bool, overwrite: bool) -> None:
        """Names of classes that the folder has already must be these, or belong to results that are replaced."""
        file = self.out / CLASSES_FILE
        try:
            found = json.loads(file.read_text(encoding="utf-8-sig")) if file.is_file() else None
        except (OSError, ValueError):
            found = "nothing that can be read"
        ours = bool(there) and set(self.records.by_stamp(there)) == {self.stamp.id}
        if found is None or found == list(classes) or (ours and not overwrite):  # the latter: a person has renamed them
            return
        if (self.out / WEIGHTS_FILE).is_file() or unknown or not overwrite:
            remedy = ", or remove what is there" if overwrite or unknown else ", or replace it with --overwrite"
            remedy = "" if (self.out / WEIGHTS_FILE).is_file() else remedy
            raise LazyLabelsError(
                f"'{file}' names the classes {_listed(found)}, the weights {_listed(classes)}: what lies there is of other "
                f"weights; name another folder{remedy}."
            )

    def _check_images(self, asked: Mapping[str, Path], there: set[str], say: Progress) -> None:
        """Results of another image of the same name are not replaced; those of an image that changed are, and it is said."""
        changed = []
        for stem in sorted(there & set(asked)):
            record, path = self.records.images.get(stem), asked[stem]
            if record is None or record.stamp is None or record.same_image(path, file_pixels):
                continue
            if not record.same_place(path, self.out):
                raise LazyLabelsError(
                    f"'{path}' would replace the results of another image of its name in '{self.out}' ('{record.image}' from "
                    "there): name another folder, or replace them with --overwrite."
                )
            if self.why_kept(path) is None:
                changed.append(stem)
        if changed:
            say(f"changed since the last prediction, and predicted again: {some(changed)}")

    def _tell_without_ids(self, paths: Sequence[Path], say: Progress) -> None:
        """Results that lost their ids are predicted again, unless a person corrected them or nobody knows; both are said."""
        without = [path for path in paths if self._lacks_ids(path)]
        again = [image_stem(path) for path in without if self._makes_ids_again(path)]
        kept = [image_stem(path) for path in without if image_stem(path) not in again]
        if again:
            say(f"predicted again, as the ids of their objects are gone: {some(again)}")
        if kept:
            say(f"without ids of their objects, and left as they are (--overwrite predicts them again): {some(kept)}")

    def _check_unknown(self, paths: Sequence[Path], alike: Callable[[Path], bool | None]) -> Path | None:
        """The first image whose result, of unknown origin, is what would be predicted now; None where none can be told."""
        for path in paths:
            verdict = alike(path)
            if verdict:
                return path
            if verdict is not None:
                raise LazyLabelsError(
                    f"'{self.out}' holds results that do not say what made them, as an earlier version wrote them, and "
                    f"'{path}' is predicted otherwise now: name another folder, or replace them with --overwrite."
                )
        return None

    def _check_files(self, paths: Sequence[Path]) -> None:
        """Neither an image nor a file of the user's whose name a result would take is replaced."""
        if not self.out.is_dir():
            return
        images = {os.path.realpath(path) for path in paths}
        for path in paths:
            stem = image_stem(path)
            files = result_paths(self.out, path)
            own = [file for file in files if os.path.realpath(file) in images]
            is_result = stem in self.records.images or f"{stem}{CLASSES_ENDING}" in map(image_stem, files)
            if own or (files and not is_result and not self.overwrite):
                raise LazyLabelsError(_no_result((own or files)[0], path, replaceable=not own))


def _no_result(file: Path, image: Path, replaceable: bool) -> str:
    remedy = ", or move the file away, or replace it with --overwrite" if replaceable else ""
    return f"'{file}' is no known result and would be replaced by one of '{image}': name another folder{remedy}."


def _listed(names: Any) -> str:
    return ", ".join(map(str, names)) if isinstance(names, (list, tuple)) else str(names)
