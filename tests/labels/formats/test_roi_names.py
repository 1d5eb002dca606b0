"""Classes in names and properties of ROIs."""

from __future__ import annotations

import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st

from lazylabels_monai.labels.formats import read_annotations
from lazylabels_monai.labels.formats.imagej import class_name
from lazylabels_monai.labels.formats.roi_names import roi_name, roi_properties, written_class
from lazylabels_monai.labels.names import object_numbers

NAMES = [
    "air bubble",
    "phase 2",
    "Tumor: Positive",
    'Zelle "groß"',
    "a/b\\c",
    "Ångström µm",
    "1",
    "cell-1",
    "細胞",
    "🧫 dish",
    "x\ty",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_class_comes_back(name, tmp_path):
    roi = roifile.ImagejRoi.frompoints([[1, 1], [5, 1], [5, 4]], name=roi_name(name, 12))
    roi.props = roi_properties(name, 12)
    path = tmp_path / "a.roi"
    roi.tofile(path)
    ((mark,),) = [annotation.marks for annotation in read_annotations(path)]
    assert mark.name == name


@given(st.text(min_size=1).filter(lambda name: name.isprintable()), st.integers(1, 10**6))
@settings(max_examples=200, deadline=None)
def test_any_class_at_all(name, id):
    roi = roi_name(name, id)
    assert not set(roi) & set("/\\\n\0")
    assert written_class(roi, roi_properties(name, id)) == name
    assert written_class(f"{roi}-1", roi_properties(name, id)) == name  # as ImageJ makes a taken name another


@pytest.mark.parametrize("name", ["air bubble", "phase 2", 'Zelle "groß"', "細胞"])
def test_usual_names_need_no_property(name):
    """Programs that drop properties leave the name, whose number the names of the others tell from a class."""
    names = [("a.zip", class_name(roi_name(name, id), 0)) for id in range(1, 13)]
    classes = object_numbers(names)
    assert {classes.get(name, name) for _, name in names} == {name}


def test_a_renamed_roi_is_of_the_class_that_it_was_given(tmp_path):
    roi = roifile.ImagejRoi.frompoints([[1, 1], [5, 1], [5, 4]], name="crystal-3")
    roi.props = roi_properties("air bubble", 3)
    path = tmp_path / "a.roi"
    roi.tofile(path)
    assert read_annotations(path)[0].marks[0].name == "crystal-3"
    roi.group = 4
    roi.name = roi_name("air bubble", 3)
    roi.tofile(path)
    assert read_annotations(path)[0].marks[0].name == "4"  # put into a group since


def test_properties_that_imagej_wrote_again():
    """It reads escapes and writes none; the order is its own, and others may have added theirs."""
    assert roi_properties("groß", 3) == "class: gro\\u00df\nid: 3\n"
    assert written_class("groß-3", "area: 5\nclass: groß\nid: 3\n") == "groß"
    assert written_class("cell-3", "") is None
    assert written_class("cell-3", "classy: cell\n") is None
