"""The words of what is wrong with an image."""

from __future__ import annotations

import pytest

from lazylabels_monai.images.faults import ERROR, IMAGE_CODES, WARNING, Fault, image_sentence


@pytest.mark.parametrize("code", IMAGE_CODES)
def test_every_code_makes_one_sentence_with_a_remedy(code):
    text = image_sentence(Fault(code, "image", amount="3 pixels"), "a.png")
    assert text.startswith("image 'a.png' has 3 pixels")
    assert text.endswith(".")
    assert "  " not in text
    assert "remove the item" not in text  # there is no item in a prediction
    assert "not labelled" not in text
    assert IMAGE_CODES[code].level in (ERROR, WARNING)


def test_places_are_named_by_their_axes():
    assert Fault("image-outliers", "image", pixels=2, location=(5, 6)).place() == ", first at y=5, x=6"
    assert Fault("image-outliers", "image", pixels=2, location=(5, 6, 7)).place() == ", first at i=5, j=6, k=7"
    assert Fault("mask-speck", "segmentation", objects=2, of=5).counted() == "2 of 5"
