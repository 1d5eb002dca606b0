"""Finished images: their masks lie in a folder of the project, and their objects do not change any more."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from lazylabels_monai.apps.napari.current import Current
from lazylabels_monai.apps.napari.mark_layers import MarkLayers
from lazylabels_monai.apps.napari.prediction_layers import PredictionLayers
from lazylabels_monai.apps.napari.work import Work
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive import finish
from lazylabels_monai.interactive.kept import Kept
from lazylabels_monai.interactive.label_files import REPLACED
from lazylabels_monai.interactive.project_files import FINISHED

__all__ = ["BACK", "FinishedImages"]

#: The button that takes corrections of objects back.
BACK = "Back to the prediction"


class FinishedImages:
    """Writes the masks of the image in view, and takes them back.

    Args:
        current: what is open.
        marks: saved before an image is finished.
        maps: in which a finished image is not to be drawn on.
        work: says what goes wrong.
    """

    def __init__(self, current: Current, marks: MarkLayers, maps: PredictionLayers, work: Work) -> None:
        self._current, self._marks, self._maps, self._work = current, marks, maps, work

    @property
    def folder(self) -> Path:
        """Of the masks of finished images."""
        return self._current.project.files.finished_folder

    def finish(self, finished: bool = True) -> None:
        """Say that the image in view is done, or not; the masks of one that is done are written, and then stay as they are."""
        current = self._current
        if current.project is None or current.entry is None:
            return
        if not self._marks.flush():
            self._work.say(f"finished is said when all marks are saved. {self._marks.why_unsaved}", True)
        elif not finished:
            self._take_masks_back()
        elif self._work.attempt(lambda: current.project.finish(current.entry)):
            self.write_masks()
        current.listed.emit()

    def write_masks(self) -> None:
        """Of the finished image in view, once all of it is answered: objects of its regions may be cut."""
        project, entry, seen = self._current.project, self._current.entry, self._current.seen
        if seen is not None and seen.in_pieces:
            self._work.say(
                "the whole picture is not answered yet: its masks are written when it is, now or when you show it again.", False
            )
            return
        if seen is None or not seen.whole:
            self._work.say(
                "no masks are written, as there is no prediction yet: wait for it, now or when you show this picture again.",
                True,
            )
            return
        name, classes = self._file_name(), project.classes
        seen.accept()

        def act() -> None:
            project.claim(entry)
            keep = partial(project.save_kept, entry, seen.kept)
            finish.write_masks(self.folder, name, seen.objects, seen.classes, classes, entry.path, keep)

        if self._work.attempt(act):
            count = len(np.unique(seen.objects[seen.objects > 0]))
            what = {0: "that there is no object in it is", 1: "its object is"}.get(count, f"its {count} objects are")
            self._work.say(f"{what} written to {self.folder}, and will not change any more.", False)
            self._maps.draw_here([])

    def write_awaited(self) -> None:
        """Write the masks that a finished image in view lacks, now that all of it is answered: it may have been left before."""
        seen = self._current.seen
        lacking = self._current.entry.finished and not finish.has_masks(self.folder, self._file_name())
        if lacking and seen is not None and seen.whole and self._corrections() is not None:
            self.write_masks()

    def _corrections(self) -> Kept | None:
        """None where their file cannot be read, which was said: nobody asked for the network's objects in their place."""
        try:
            return self._current.project.kept(self._current.entry)
        except (LazyLabelsError, OSError):
            return None

    def read_masks(self) -> tuple[np.ndarray, np.ndarray] | None:
        """What was written of the image in view, ids (H, W) int32 and class by id; None where nothing was.

        Two that a stop left which do not belong together are put away where the objects are known otherwise.

        Raises:
            LazyLabelsError: when it cannot be read, is of another size, or cannot be put away.
        """
        found = finish.read_masks(self.folder, self._file_name(), self._current.shape)
        if found is None or finish.belong_together(*found):
            return found
        kept = self._corrections()
        if kept is None or not kept.everything:
            return found
        files, entry = self._current.project.files, self._current.entry
        files.put_masks_away(entry.name)
        self._work.say(
            f"the masks of '{entry.name}' in {self.folder} did not belong together, as after a stop: they are written again as "
            f"you accepted the objects, and those of before are in {files.folder / REPLACED / FINISHED}.",
            True,
        )
        return None

    def _take_masks_back(self) -> None:
        """An image that is not finished after all has none among the results; its objects stay on the screen.

        The tick goes last: a finished picture without masks is told of, and gets them when it is shown.
        """
        project, entry, seen = self._current.project, self._current.entry, self._current.seen

        def act() -> None:
            if seen is not None:
                project.save_kept(entry, seen.kept)
            finish.remove_masks(self.folder, self._file_name())
            project.finish(entry, False)

        if self._work.attempt(act) and seen is not None and seen.kept.everything:
            self._work.say(
                f'it is not finished any more; its objects stay as they are until you press "{BACK}" on the tab Correct.', False
            )

    def _file_name(self) -> str:
        """What the results of the image in view are called after."""
        return self._current.project.files.result_name(self._current.entry.name)
