"""What a training beside a window makes of what its weights know."""

from __future__ import annotations

import pytest

from lazylabels_monai.anchoring import Agreement
from lazylabels_monai.interactive.events import EventReader, EventWriter
from lazylabels_monai.interactive.knowing import Hint, learns_anew
from lazylabels_monai.trained import BEGUN_FILE, write_begun


class Engine:
    """What a handler looks at."""

    class state:
        epoch, max_epochs = 3, 200


class Dataset:
    def __init__(self, regions):
        self.regions = lambda: regions


class Loss:
    def __init__(self, crops, share):
        self.agreement = Agreement()
        self.agreement.crops, self.agreement._found = crops, crops * share


@pytest.mark.parametrize("weights", [None, "", "nothing"])
def test_from_nothing_a_training_learns_anew(weights):
    assert learns_anew(weights)


def test_weights_of_another_training_are_held_to_and_those_that_learnt_anew_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "model.pt"
    assert not learns_anew(weights)
    write_begun(tmp_path, True)
    assert learns_anew(weights)
    assert learns_anew(str(weights))
    assert not learns_anew("starter")  # whatever lies in the folder where one is
    write_begun(tmp_path, False)
    assert not learns_anew(weights)
    (tmp_path / BEGUN_FILE).write_text("[")
    assert not learns_anew(weights)
    assert not learns_anew(3)  # which is no weights, and refused as such


@pytest.mark.parametrize(
    ("crops", "share", "regions", "told"),
    [(10, 0.1, 10, True), (9, 0.1, 10, False), (10, 0.1, 9, False), (10, 0.5, 30, False)],
)
def test_that_weights_find_little_of_what_was_marked_is_told_once(tmp_path, crops, share, regions, told):
    reader = EventReader(tmp_path / "events.jsonl")
    hint = Hint(Loss(crops, share), Dataset(regions), EventWriter(tmp_path / "events.jsonl"))
    hint(Engine)
    hint(Engine)
    found = reader.read()
    assert len(found) == told
    assert all("10% of the 10 regions" in event.sentence and "learning anew" in event.sentence for event in found)
