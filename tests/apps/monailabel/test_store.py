"""Which images of the app validate."""

from __future__ import annotations

import pytest

from lazylabels_monai.apps.monailabel.store import split_items


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
