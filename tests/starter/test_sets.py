from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.inner import inner_regions
from lazylabels_monai.labels.interfaces import interfaces
from lazylabels_monai.starter import sets
from lazylabels_monai.starter.sets import DETECTION, SEGMENTATION, SEPARATION, coded, generated, resized_instances


def discs(size: int = 120, radius: int = 14) -> np.ndarray:
    """Touching discs in rows, as ids."""
    y, x = np.mgrid[:size, :size]
    ids = np.zeros((size, size), np.uint16)
    for k, (cy, cx) in enumerate((cy, cx) for cy in range(20, size, 2 * radius) for cx in range(20, size, 2 * radius)):
        ids[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = k + 1
    return ids


def test_a_code_holds_the_labels_that_the_package_draws():
    ids = discs()
    code = coded(ids, 7)
    assert np.array_equal((code & SEGMENTATION) > 0, ids > 0)
    assert np.array_equal((code & DETECTION) > 0, inner_regions(ids, rng=7) > 0)
    assert np.array_equal((code & SEPARATION) > 0, interfaces(ids) > 0)


def test_scribbles_are_as_thick_at_every_magnification():
    """Labels are drawn anew at each level: enlarged or reduced ones would not be."""
    ids = discs(240, 28)

    def thickness(instances: np.ndarray) -> float:
        line = coded(instances) & SEPARATION > 0
        return line.sum() / max(1, (line & ~np.roll(line, 1, 0)).sum())

    whole, half = thickness(ids), thickness(resized_instances(ids, (120, 120)))
    assert half == pytest.approx(whole, rel=0.35)


def test_ids_are_resized_without_new_ones():
    ids = discs()
    for size in ((60, 60), (240, 240), (37, 91)):
        small = resized_instances(ids, size)
        assert small.shape == size
        assert set(np.unique(small)) <= set(np.unique(ids))
        assert (small > 0).mean() == pytest.approx((ids > 0).mean(), abs=0.03)


@pytest.mark.parametrize("domain", sets.GENERATED)
def test_generated_pictures_differ_by_seed_alone(domain):
    first, again, other = (generated(domain, (1, 2, k), (96, 96)) for k in (0, 0, 1))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert first[1].max() < 8


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A set of each kind, tiny, in place of the real ones."""
    use = sets.ImageSet("train", (1.0, 0.5), 1.0, held=2)
    monkeypatch.setattr(sets, "SETS", {"ids": use, "phases": sets.ImageSet("train", (1.0,), 1.0, validation="val")})
    monkeypatch.setattr(sets, "UNSEEN", {"far": sets.ImageSet("train", (), 0.5, held=2)})
    ids = discs(240, 28)
    for place, kind in (("ids/train", "masks"), ("phases/train", "classes"), ("phases/val", "classes"), ("far/train", "masks")):
        label = ids if kind == "masks" else (ids > 0).astype(np.uint8)
        for name in "ab":
            for part, array in (("images", (ids * 3 % 200).astype(np.uint8)), (kind, label)):
                (tmp_path / place / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(tmp_path / place / part / f"{name}.png")
    return tmp_path


def test_what_is_packed_is_unpacked(folder):
    counts = sets.pack(folder, folder / "all.zip", generated_validation=1)
    assert counts == {"ids": 2, "phases": 4, "far": 1, "builtin": 1, "scenes": 1}
    found = [(p.domain, p.part, p.image.shape) for p in sets.unpack(folder / "all.zip")]
    assert found[:3] == [
        ("ids", "training", (240, 240)),
        ("ids", "training", (120, 120)),
        ("ids", "validation", (240, 240)),
    ]
    assert ("far", "unseen", (120, 120)) in found
    assert not any(domain == "far" and part == "training" for domain, part, _ in found)
    picture = sets.unpack(folder / "all.zip")[0]
    assert np.array_equal(picture.code, coded(discs(240, 28)))
    assert np.abs(picture.image.astype(int) - (discs(240, 28) * 3 % 200)).max() <= 1


def test_a_set_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LazyLabelsError, match=r"emps.*is missing"):
        sets.pack(tmp_path, tmp_path / "all.zip")


def test_held_pictures_are_those_that_nothing_learns_from(folder):
    """Known by their pixels in what is packed."""
    Image.fromarray(np.full((240, 240), 9, np.uint8)).save(folder / "ids/train/images/b.png")
    sets.pack(folder, folder / "all.zip", generated_validation=1)
    assert sets.write_held(folder, folder / "held") == {"ids": 1}
    validates = [p for p in sets.unpack(folder / "all.zip") if (p.domain, p.part) == ("ids", "validation")]
    for kind in ("images", "masks"):
        (written,) = (folder / "held/ids_held/train" / kind).iterdir()
        assert written.read_bytes() == (folder / "ids/train" / kind / written.name).read_bytes()
    with Image.open(folder / "held/ids_held/train/images" / written.name) as image:
        assert np.asarray(image).std() == 0
    assert [picture.image.std() < 1 for picture in validates] == [True]
    with pytest.raises(LazyLabelsError, match=r"ids_held is there already"):
        sets.write_held(folder, folder / "held")
    with pytest.raises(LazyLabelsError, match=r"holds none of the sets"):
        sets.write_held(folder / "held", folder / "other")


def test_held_pictures_of_no_set_are_written_where_those_of_another_are_there(folder, monkeypatch):
    """Else the next try would find what this one left."""
    monkeypatch.setattr(sets, "SETS", {"ids": sets.SETS["ids"], "more": sets.SETS["ids"]})
    shutil.copytree(folder / "ids", folder / "more")
    (folder / "held" / "more_held").mkdir(parents=True)
    with pytest.raises(LazyLabelsError, match=r"more_held is there already"):
        sets.write_held(folder, folder / "held")
    assert [path.name for path in (folder / "held").iterdir()] == ["more_held"]
