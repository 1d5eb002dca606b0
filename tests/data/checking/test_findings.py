"""Findings: each code has a case, and what many images share is said once."""

from __future__ import annotations

import re

import pytest

from lazylabels_monai.data.checking import CODES
from tests.data.checking.cases import FILES, IMAGES, MARKS, DataSet, sound, speck
from tests.helpers import ROOT
from tests.labels.mistaken import MISTAKEN


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path / "set")


#: Their cases stand in test_images.py and test_items.py.
BESIDE_OTHERS = ("image-inverted", "object-size-differs", "pixel-size-differs", "image-replaced")
#: Only an image to predict is compared with those of a training.
BESIDE_A_TRAINING = {"image-detail", "image-channels"}


def test_every_code_has_a_case():
    cases = {case[1] for case in MARKS.values()} | set(IMAGES) | set(FILES) | set(BESIDE_OTHERS)
    cases |= {code for _, code, _ in MISTAKEN.values()} | {"classes-ids", "classes-background"}  # test_whole.py
    assert cases == set(CODES) - BESIDE_A_TRAINING


def test_the_page_lists_every_code_with_its_picture():
    page = (ROOT / "docs/checking.md").read_text(encoding="utf-8")
    for code in CODES:
        assert f"| `{code}`" in page
        if code in BESIDE_A_TRAINING:
            continue
        assert f"(images/findings/{code}.png)" in page
        assert (ROOT / f"docs/images/findings/{code}.png").is_file()


def test_the_page_lists_every_code_of_the_json():
    folder = ROOT / "lazylabels_monai/data/checking"
    source = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    codes = set(re.findall(r'(?:(?:ERROR|WARNING|level),|\.error\()\s*"([a-z-]+)"', source))
    assert {"datalist", "unreadable", "size-differs", "mask-empty", "split-empty", "same-pixels", "marks-in-corner"} <= codes
    page = (ROOT / "docs/checking.md").read_text(encoding="utf-8")
    assert sorted(code for code in codes if f"| `{code}`" not in page) == []


def test_what_many_images_share_is_one_sentence(data):
    for number in range(4):
        _, labels = sound(number)
        speck(labels)
        labels["segmentation"][88, 50 : 50 + 2 * number : 2] = 1
        data.write(f"segmentation/{number}.png", labels["segmentation"])
    report = data.check()
    assert len(report.findings) == 4
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith('"segmentation" of 4 images has 10 specks of a few pixels in the exact mask: ')
    assert "training[3] 'segmentation/3.png' (4), training[2] 'segmentation/2.png' (3)" in report.warnings[0]
    assert report.warnings[0].endswith("and 1 more; erase them if they are no objects (mask-speck).")


def test_findings_of_the_files(data):
    data.content["training"][1]["detection"] = "nowhere.png"
    (found,) = data.check().findings
    assert (found.level, found.code, found.key, found.file) == ("error", "unreadable", "detection", "nowhere.png")
