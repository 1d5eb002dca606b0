"""Files about an image are its own."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lazylabels_monai.interactive.project import Project
from tests.interactive.folders import NONE, pictures, stroke


def test_images_of_one_name_have_labels_of_their_own(tmp_path):
    folder = pictures(tmp_path / "my", 1)
    picture = Image.open(folder / "images" / "a.png")
    picture.save(folder / "images" / "a.tif")
    picture.save(folder / "images" / "A.bmp")
    with Project.open(folder, create=True) as project:
        labels = [stroke(NONE, 1, (2, 2, 9, 9 + k)) for k in range(3)]
        for entry, label in zip(project.images, labels, strict=True):
            project.labels.save(entry, "detection", label)
        assert all(np.array_equal(project.labels.read(e, "detection"), m) for e, m in zip(project.images, labels, strict=True))
