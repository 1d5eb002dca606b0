from __future__ import annotations

import numpy as np
import pytest
import torch

from lazylabels_monai.starter.crops import CANVAS, Canvases, labels_of, random_crops, tiles, varied


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def ramps() -> Canvases:
    """A picture whose grey says where a pixel is, and whose code is its grey's parity by column."""
    canvases = Canvases(2)
    image = np.add.outer(np.zeros(70), np.arange(90)).astype(np.uint8)
    canvases.put([1], [(image, (image % 8).astype(np.uint8))])
    return canvases


def test_crops_that_keep_their_pixels_are_pieces_of_the_picture_turned_and_flipped(ramps):
    image, code = random_crops(ramps, torch.ones(40, dtype=torch.long), 32, generator(), keep_share=1.0)
    mean, std = ramps.about[1, 2:].tolist()
    grey = image[:, 0] * std + mean
    assert torch.allclose(grey, grey.round(), atol=1e-2)
    # the grey says which column a pixel comes from, and the label belongs to it
    assert torch.equal(code, (grey.round() % 8).to(torch.uint8))
    steps = {(round((one[1, 0] - one[0, 0]).item()), round((one[0, 1] - one[0, 0]).item())) for one in grey}
    assert steps == {(0, 1), (0, -1), (1, 0), (-1, 0)}


def test_labels_go_where_the_image_goes(ramps):
    image, code = random_crops(ramps, torch.ones(60, dtype=torch.long), 33, generator(1), keep_share=0.0)
    mean, std = ramps.about[1, 2:].tolist()
    grey = image[:, 0] * std + mean
    inside = code != 255
    assert inside.float().mean() > 0.5
    # within half a pixel of the column that the label was taken from
    wrong = ((code.float() - grey) % 8)[inside]
    assert torch.minimum(wrong, 8 - wrong).max() <= 0.51


def test_outside_is_a_mirror_image_without_a_label():
    canvases = Canvases(1)
    canvases.put([0], [(np.tile(np.arange(40, dtype=np.uint8), (40, 1)), np.ones((40, 40), np.uint8))])
    image, code = random_crops(canvases, torch.zeros(1, dtype=torch.long), 64, generator(3), keep_share=1.0)
    assert (code != 255).sum() == 40 * 40
    mean, std = canvases.about[0, 2:].tolist()
    grey = (image[0, 0] * std + mean).round()
    if (grey[32] == grey[32, 0]).all():
        grey = grey.T
    line = grey[32].tolist()
    expected = [*range(11, -1, -1), *range(40), *range(39, 27, -1)]
    assert line in (expected, expected[::-1])


def test_magnification_is_drawn_from_its_range():
    canvases = Canvases(1)
    board = (np.add.outer(np.arange(300) // 10, np.arange(300) // 10) % 2 * 200).astype(np.uint8)
    canvases.put([0], [(board, np.zeros_like(board))])

    def edges(scale: float) -> float:
        slots = torch.zeros(24, dtype=torch.long)
        image, _ = random_crops(canvases, slots, 64, generator(), (scale, scale * 1.0001), keep_share=0.0)
        return (image.diff(dim=2).abs().mean() + image.diff(dim=3).abs().mean()).item()

    assert edges(0.7) / edges(1.4) == pytest.approx(2, rel=0.25)


def test_large_pictures_are_cut_into_tiles_that_cover_them():
    image = np.arange(700 * 1100, dtype=np.int64).reshape(700, 1100)
    parts = tiles(image, image)
    assert all(part.shape == (CANVAS, CANVAS) for part, _ in parts)
    assert np.unique(np.concatenate([part.ravel() for part, _ in parts])).size == image.size
    assert len(tiles(image[:50, :60], image[:50, :60])) == 1


def test_a_canvas_forgets_what_lay_there():
    canvases = Canvases(1)
    canvases.put([0], [(np.full((60, 60), 9, np.uint8), np.ones((60, 60), np.uint8))])
    canvases.put([0], [(np.full((30, 40), 7, np.uint8), np.zeros((30, 40), np.uint8))])
    assert canvases.about[0].tolist() == [30, 40, 7, 1]
    assert not canvases.codes.any()
    assert canvases.whole(0)[0].shape == (1, 1, 30, 40)


def test_conditions_change_the_image_and_nothing_becomes_infinite():
    image = torch.randn(16, 1, 48, 48, generator=generator())
    image[0] = 0  # an empty crop
    changed = varied(image, generator(2))
    assert changed.shape == image.shape
    assert torch.isfinite(changed).all()
    assert torch.equal(changed, varied(image, generator(2)))
    inverted = varied(image, generator(2), inverted=1.0)
    assert not torch.equal(changed, inverted)


def test_codes_are_the_three_labels():
    labels = labels_of(torch.tensor([[[0, 1, 3, 4, 5, 255]]], dtype=torch.uint8))
    assert {task: label.flatten().tolist() for task, label in labels.items()} == {
        "segmentation": [0, 1, 1, 0, 1, 255],
        "detection": [0, 0, 1, 0, 0, 255],
        "separation": [0, 0, 0, 1, 1, 255],
    }
