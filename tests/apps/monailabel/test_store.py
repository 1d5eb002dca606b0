"""Which images of the app validate."""

from __future__ import annotations

import fnmatch

import pytest

from lazylabels_monai.apps.monailabel.store import (
    keep_learnt,
    labelled_items,
    learnt_sentence,
    of_last_training,
    picture_patterns,
    require_all_served,
    split_items,
    write_datalist,
)
from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.errors import LazyLabelsError


class Folder:
    """Ids and files as MONAI Label 0.8.5 makes them of names; it tells small letters from capital ones."""

    def __init__(self, folder, patterns: list[str]) -> None:
        self.folder, self.patterns = folder, patterns
        self.refresh()

    def refresh(self) -> None:
        self.files, folder, patterns = {}, self.folder, self.patterns
        for pattern in patterns:
            for name in fnmatch.filter([path.name for path in folder.iterdir()], pattern):
                ending = next(p[1:] for p in reversed(patterns) if name.endswith(p[1:]))
                identity = name.replace(ending, "")
                if (folder / (identity + ending)).exists():
                    self.files[identity] = identity + ending  # of two the last

    def list_images(self) -> list[str]:
        return list(self.files)

    def get_image_uri(self, image: str) -> str:
        return str((self.folder / self.files[image]).resolve())

    def get_labels_by_image_id(self, image: str) -> dict[str, str]:
        return {"detection": image}

    def get_label_uri(self, label: str, tag: str) -> str:
        return str(self.folder / "labels" / tag / f"{label}.png")


def items(exact: int, marks: int = 3) -> list[dict[str, str]]:
    masks = [{"image": f"/pool/{n}.png", "segmentation": f"/masks/{n}.png"} for n in range(exact)]
    return masks + [{"image": f"/pool/m{n}.png", "detection": f"/marks/{n}.png"} for n in range(marks)]


@pytest.mark.parametrize(
    ("exact", "share", "validating"),
    [(0, 0.2, 0), (1, 0.2, 0), (2, 0.2, 1), (10, 0.2, 2), (10, 0.0, 0), (10, -1, 0), (3, 1.0, 2)],
)
def test_images_with_an_exact_mask_validate(exact, share, validating):
    training, validation = split_items(items(exact), share)
    assert len(validation) == validating
    assert all("segmentation" in item for item in validation)
    assert sorted(item["image"] for item in training + validation) == sorted(item["image"] for item in items(exact))


def test_an_image_that_validated_is_not_trained_on_later():
    before: list[str] = []
    for exact in range(2, 30):
        training, validation = split_items(items(exact), 0.25, before)
        assert not {item["image"] for item in training} & set(before)
        before = [item["image"] for item in validation]
    assert len(before) == 7


def test_an_image_that_the_weights_have_learnt_from_validates_only_where_no_other_can():
    """As labels come in rounds: one exact mask and marks first, exact masks of new and of known images later."""
    first = items(1, 6)
    learnt = [item["image"] for item in split_items(first, 0.2)[0]]
    assert learnt == [item["image"] for item in first]
    for number in range(20):  # whatever the new image is called
        new = {"image": f"/pool/new{number}.png", "segmentation": "/masks/new.png"}
        later = [item | {"segmentation": "/masks/later.png"} for item in first[:3]] + first[3:]
        training, validation = split_items([*later, new], 0.2, [], learnt)
        assert validation == [new]
        assert training == later
        assert learnt_sentence(validation, learnt) is None
        again = split_items([*later, new, {**new, "image": "/pool/0new.png"}], 0.2, [new["image"]], learnt)[1]
        assert again == [new]  # that validated before goes first
    (known,) = split_items(later, 0.2, [], learnt)[1]
    said = learnt_sentence([known], learnt)
    assert said is not None
    assert f"learnt from the validation image '{known['image'].split('/')[-1]}', so" in said
    assert "and 1 more" in learnt_sentence(later[:2], learnt)


def test_a_new_image_validates_after_one_that_was_learnt_from_had_to(tmp_path):
    """What the sentence advises helps: the datalist says what was learnt from in all rounds."""
    file, first = tmp_path / "training" / "datalist.json", items(1, 3)
    assert of_last_training(tmp_path) == ([], [])
    write_datalist(file, ["object"], first)
    rounds = [item | {"segmentation": "/masks/later.png"} for item in first[:2]] + first[2:]
    before, learnt = of_last_training(tmp_path)
    training, validation = split_items(rounds, 0.2, before, learnt)
    assert learnt_sentence(validation, learnt)
    write_datalist(file, ["object"], training, validation, learnt)
    assert load_datalist(file)["training"] == training
    before, learnt = of_last_training(tmp_path)
    assert before == [validation[0]["image"]]
    assert set(learnt) == {item["image"] for item in first}
    new = {"image": "/pool/new.png", "segmentation": "/masks/new.png"}
    assert split_items([*rounds, new], 0.2, before, learnt)[1] == [new]


def test_a_round_that_fails_changes_nothing_of_what_the_served_weights_have_learnt_from(tmp_path):
    """One from nothing would make them forget it, so that images that they know validate the next round."""
    file, models = tmp_path / "training" / "datalist.json", tmp_path
    write_datalist(file, ["object"], items(4)[1:], items(4)[:1], ["/pool/earlier.png"])
    keep_learnt(models / "training", models)
    served = of_last_training(models)
    assert served == (["/pool/0.png"], ["/pool/earlier.png", *(item["image"] for item in items(4)[1:])])
    write_datalist(file, ["object"], [{"image": "/pool/other.png"}], [])  # "pretrained": false; it fails
    assert of_last_training(models) == served
    keep_learnt(models / "training", models)  # another, which does not
    assert of_last_training(models) == ([], ["/pool/other.png"])
    file.unlink()  # of the stock app, which makes no such file: what was learnt from before is learnt still
    keep_learnt(models / "training", models)
    assert of_last_training(models) == ([], ["/pool/other.png"])


@pytest.mark.parametrize("ending", [".png", ".PNG", ".tif", ".TIF", ".Tif", ".tiff", ".TIFF", ".JPG", ".Jpeg", ".bmp"])
@pytest.mark.parametrize("name", ["a", "a b", "\u00e9", "a.gif (RGB)", "a.b"])
def test_pictures_are_served_whatever_their_endings_are_written_like(tmp_path, name, ending):
    (tmp_path / (name + ending)).touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "labels").mkdir()
    store = Folder(tmp_path, picture_patterns())
    assert store.list_images() == [name]
    require_all_served(store, tmp_path)


@pytest.mark.parametrize(
    ("names", "left"), [(["a.png", "a.tif"], "a.png"), (["a.png", "a.PNG"], "a"), (["b.png", "a.tif.tif"], "a.tif.tif")]
)
def test_a_picture_that_monai_label_would_leave_out_is_refused_by_name(tmp_path, names, left):
    """Two of one name but for the ending: labels of one would be taken for those of the other."""
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(LazyLabelsError, match=f"{left}.*rename") as refused:
        require_all_served(Folder(tmp_path, picture_patterns()), tmp_path)
    assert "\n" not in str(refused.value)


def test_a_picture_that_came_since_the_start_is_served_or_refused_at_a_training(tmp_path):
    (tmp_path / "a.png").touch()
    store = Folder(tmp_path, picture_patterns())
    (tmp_path / "b.TIF").touch()
    label = str(tmp_path / "labels" / "detection" / "b.png")
    assert {"image": str((tmp_path / "b.TIF").resolve()), "detection": label} in labelled_items(store, tmp_path)
    (tmp_path / "b.png").touch()
    with pytest.raises(LazyLabelsError, match=r"b\..*rename"):
        labelled_items(store, tmp_path)
