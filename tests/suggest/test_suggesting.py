"""Gain and cost of each label by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.suggest import expected_work, suggest
from lazylabels_monai.suggest.suggesting import _mean_features
from tests.suggest.faked import FakeUncertainty, fake_model, maps_of


def order(ranked):
    return [(s.image, s.task) for s in ranked]


def test_work_is_counted_in_the_predicted_maps():
    assert expected_work(maps_of(5, 3)) == {"segmentation": (5, 0), "detection": (5, 0), "separation": (3, 0)}
    assert expected_work(maps_of(0, 0, classes=3)) == {"segmentation": (0, 2), "detection": (0, 2), "separation": (0, 1)}
    some = maps_of(2, 1)
    del some["segmentation"]
    assert expected_work(some) == {"detection": (2, 0), "separation": (1, 0)}


def test_gain_and_cost_by_hand(folder, monkeypatch):
    monkeypatch.setattr(
        "lazylabels_monai.predicting.uncertainty.uncertainty_maps",
        FakeUncertainty({"a": (4, 1, 0.1), "b": (2, 3, 0.2), "c": (0, 2, 0.3)}),
    )
    costs = AnnotationCosts(strong=50, inner=10, scribble=3, absent=1, image=5)
    found = suggest(folder, fake_model(), costs=costs, hours=1)
    assert len(found.ranked) == 9
    by = {(s.image[-5], s.task): s for s in found.ranked}
    # the mean of the pool is 2 objects and 2 strokes
    assert by["a", "segmentation"].to_draw == 3
    assert by["a", "segmentation"].seconds == 5 + 50 * 3
    assert by["b", "detection"].seconds == 5 + 10 * 2
    assert by["c", "segmentation"].seconds == 5 + 50 * 1 + 1, "no object is seen: one class is looked for and not found"
    assert by["b", "separation"].seconds == 5 + 3 * 2.5
    assert by["a", "separation"].gain == pytest.approx(0.1 * 40 * 60)
    assert by["a", "separation"].uncertainty == pytest.approx(0.1)
    for s in found.ranked:
        assert s.score == pytest.approx(s.gain / s.seconds)
    assert order(found.ranked)[0] == (str(folder / "c.png"), "separation")
    entropy = suggest(folder, fake_model(), measure="entropy", tasks=["detection"])
    assert {s.task for s in entropy.ranked} == {"detection"}
    assert entropy.ranked[0].uncertainty == pytest.approx(0.15)


def test_one_answer_is_ranked_by_entropy_and_that_is_said(folder, monkeypatch):
    monkeypatch.setattr(
        "lazylabels_monai.predicting.uncertainty.uncertainty_maps", FakeUncertainty(dict.fromkeys("abc", (1, 1, 0.2)))
    )
    found = suggest(folder, fake_model(), flips=False, dropout_samples=3)
    assert found.ranked[0].uncertainty == pytest.approx(0.1)
    assert any("entropy instead" in note for note in found.notes)
    assert any("no dropout" in note for note in found.notes)


def test_what_the_network_cannot_tell_is_refused(folder):
    with pytest.raises(LazyLabelsError, match="separation: the network did not learn it"):
        suggest(folder, fake_model(("segmentation",)), tasks=["separation"])
    with pytest.raises(LazyLabelsError, match="measure 'guess' does not exist"):
        suggest(folder, fake_model(), measure="guess")


def test_features_are_the_same_whatever_window_is_ready_first():
    network = nn.Module()
    network.down = nn.ModuleList([nn.Identity()])
    windows = [torch.randn(size, 5, 7, 9, generator=torch.Generator().manual_seed(size)) for size in (1, 2, 3, 4, 5)]
    found = []
    for turn in range(5):
        with _mean_features(network) as features:
            for window in windows[turn:] + windows[:turn]:
                network.down[0](window)
            found.append(features())
    assert len({each.tobytes() for each in found}) == 1
    torch.testing.assert_close(torch.as_tensor(found[0]), torch.cat(windows).mean((0, 2, 3)))
