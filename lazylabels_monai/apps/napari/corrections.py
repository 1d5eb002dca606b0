"""Corrections of the objects in view, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lazylabels_monai.apps.napari.clock import DrawingClock
from lazylabels_monai.apps.napari.current import Current
from lazylabels_monai.apps.napari.finished import FinishedImages
from lazylabels_monai.apps.napari.mark_layers import MarkLayers
from lazylabels_monai.apps.napari.predictions import Predictions
from lazylabels_monai.apps.napari.work import Work
from lazylabels_monai.interactive import correcting
from lazylabels_monai.interactive.kept import Kept, accepted, nothing_kept, taken_back

__all__ = ["Corrections"]

#: Ids (H, W) and class by id.
_Objects = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Done:
    """A correction, to be undone.

    Args:
        marks: labels by task that it changed, as they were before.
        kept: what was kept before.
        before: objects and classes that were shown before.
        after: those that were shown after it.
        are_ids_known: whether objects are shown by the same ids as then; not once another prediction came.
    """

    marks: dict[str, np.ndarray]
    kept: Kept
    before: _Objects
    after: _Objects
    are_ids_known: bool = True


class Corrections:
    """Those of the image in view, the newest last.

    Args:
        current: what is open.
        marks: that a correction changes, beside the objects.
        clock: to which a correction is an act.
        finished: whose masks are written again where a finished image is corrected.
        predictions: that are corrected.
        work: says what goes wrong.
    """

    def __init__(
        self,
        current: Current,
        marks: MarkLayers,
        clock: DrawingClock,
        finished: FinishedImages,
        predictions: Predictions,
        work: Work,
    ) -> None:
        self._current, self._marks, self._clock = current, marks, clock
        self._finished, self._predictions, self._work = finished, predictions, work
        self._done: list[_Done] = []
        predictions.answered.connect(self._answered)

    def correct(self, make: Callable[[np.ndarray, np.ndarray], correcting.Correction]) -> list[str] | None:
        """Correct the objects in view and the marks.

        Args:
            make: gives a correction of the objects (ids) and their classes (by id); what it refuses is said.

        Returns:
            the tasks whose marks were changed; None where nothing could be corrected, which is said.
        """
        project, entry = self._current.project, self._current.entry
        if entry is None:
            return None
        seen = self._current.known()
        if seen.in_pieces:  # what is cut along a tile is not what somebody corrects
            self._work.say("the whole picture is not answered yet, and objects may be cut: correct them when it is.", True)
            return None
        if not self._are_marks_saved():
            return None
        before: dict[str, np.ndarray] = {}
        objects, classes, kept = seen.objects, seen.classes, seen.kept

        def act() -> None:
            correction = make(objects, classes)
            before.update(correcting.apply(project, entry, correction))
            seen.change(correction.objects, correction.classes)

        if not self._work.attempt(act):
            return None
        self._clock.act()
        self._done.append(_Done(before, kept, (objects, classes), (seen.objects, seen.classes)))
        self._show()
        return list(before)

    def undo(self) -> None:
        """Take back the last correction of the picture in view, objects and marks."""
        if not self._are_marks_saved():
            return
        if not self._done:
            self._work.say("there is no correction of this picture to undo.", False)
            return
        done = self._done[-1]
        if self._work.attempt(lambda: correcting.undo(self._current.project, self._current.entry, done.marks)):
            self._done.pop()
            self._take_back(done)
            self._show()

    def forget(self) -> None:
        """Let the network decide about all objects of the picture in view; marks stay. It can be undone like a correction."""
        seen = self._current.seen
        if not self._are_marks_saved():
            return
        if seen is None or seen.kept.nothing:
            self._work.say("the objects of this picture are the network's already.", False)
            return
        if self._current.entry.finished:
            self._work.say("this picture is finished: take the tick away first, and its objects can change again.", True)
            return
        kept, before = seen.kept, (seen.objects, seen.classes)
        seen.keep(nothing_kept(seen.objects.shape))
        self._done.append(_Done({}, kept, before, (seen.objects, seen.classes)))
        self._show()
        self._work.say("the network decides about all objects; your marks stay. Undo the correction takes this back.", False)
        if not seen.answered.any():
            self._predictions.predict()

    def clear(self) -> None:
        """None can be undone any more."""
        self._done = []

    def _are_marks_saved(self) -> bool:
        """Before they are shown anew as they are on the disk; why they are not is said."""
        if self._marks.flush():
            return True
        self._work.say(f"objects can be corrected when all marks are saved. {self._marks.why_unsaved}", True)
        return False

    def _take_back(self, done: _Done) -> None:
        seen = self._current.seen
        if not seen.kept.everything:
            seen.keep(done.kept, done.before if done.are_ids_known else None)
            return
        # accepted since, perhaps: all that this correction did not change stays so, whatever the network has answered
        now = done.before if done.are_ids_known else taken_back(done.before, done.after, (seen.objects, seen.classes))
        seen.keep(accepted(*now), now)

    def _answered(self) -> None:
        if not self._current.seen.kept.everything:  # else nothing that is shown has changed
            self._done = [replace(done, are_ids_known=False) for done in self._done]

    def _show(self) -> None:
        """Save the objects, and show what is now."""
        current = self._current
        if current.entry.finished and current.seen.whole:
            self._finished.write_masks()  # what was written is what is shown
        else:
            self._work.attempt(lambda: current.project.save_kept(current.entry, current.seen.kept))
        self._marks.reload()
        self._predictions.show()
        self._predictions.changed.emit()
        current.listed.emit()
