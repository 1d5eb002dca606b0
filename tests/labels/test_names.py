"""Names of what people draw: numbers of single objects, and classes."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazylabels_monai.labels.names import object_numbers, plain, split_name


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("cell-1", "cell"),
        ("cell (1)", "cell"),
        ("cell1", "cell"),
        ("Cell #03", "Cell"),
        ("cell[2]", "cell"),
        ("cell.001", "cell"),
        ("1-cell", "cell"),
        ("001_cell", "cell"),
        ("3: air bubble", "air bubble"),
        ("air bubble-0012-0345", "air bubble"),
        ("cell-1-2", "cell"),
        ("Körner-3", "Körner"),
        ("细胞 3", "细胞"),
        ("1", ""),
        ("001_002", ""),
        ("(3)", ""),
        ("#7", ""),
        ("ROI 1", ""),
        ("cell No. 3", "cell"),
        ("nucleus 3 of 12", "nucleus"),
        ("cell_id_7", "cell"),
        ("cell-1 copy", "cell"),
        ("Polygon_12", ""),
        ("track 7", ""),
        ("0001 - ID 0003", ""),
    ],
)
def test_numbers_are_taken_off(name, stem):
    parts = split_name(name)
    assert (parts.stem, parts.numbered) == (stem, True)
    assert split_name(f" {name} ") == parts


@pytest.mark.parametrize(
    "name",
    [
        "0012-0345",
        "0001-0012-0345",
        "z003-t001-0012-0345",
        "0012-0345-1",
        "00012-12345",
        "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
        "{1B4E28BA-2FA1-11D2-883F-0016D3CCA427}",
        "1b4e28ba2fa111d2883f0016d3cca427",
        "65a1f0c2b3d4e5f607182930",
        "2024-05-12",
        "20240512",
        "2024-05-12T10:30:00Z",
        "2024-05-12 at 10.30.15",
        "20240512_103000",
        "1715509800123",
    ],
)
def test_ids_positions_and_dates_are_never_classes(name):
    assert split_name(name).sure
    assert object_numbers([(f"file {i % 3}", name) for i in range(90)]) == {name: ""}


@pytest.mark.parametrize("name", ["Tumor", "Tumor: Positive", "deadbeef", "cell 1a", "H2O", "", "x"])
def test_other_names_stay(name):
    assert split_name(name).stem == name
    assert object_numbers([("a", name)]) == {}


def test_plain():
    assert plain("Ignore*") == plain(" ignore_") == "ignore"
    assert plain("Back-Ground") == "back ground"


STYLES = ["{s}-{n}", "{s} ({n})", "{s}{n}", "{s}_{n:03}", "{n}_{s}", "{s} #{n}", "{s}.{n:04}", "{n}: {s}"]
NUMBERS = ["{n}", "{n:03}", "{n:03}_{m:03}", "ROI {n}", "{n:04}-{m:04}", "#{n}", "({n})"]
STEMS = ["cell", "air bubble", "Kern", "Zelle", "nucleus", "CD"]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([(style, stem) for style in STYLES for stem in STEMS] + [(style, "") for style in NUMBERS]),
    st.lists(st.integers(2, 60), min_size=1, max_size=8),
    st.booleans(),
    st.integers(0, 99),
)
def test_running_numbers_become_one_class(style, counts, anew, seed):
    """Numbered anew in each file, or on and on."""
    pattern, stem = style
    drawn, start = [], 0
    for file, count in enumerate(counts):
        start = 0 if anew else start
        drawn += [(f"{file}", pattern.format(s=stem, n=start + k + 1, m=(start + k) * 7 % 613)) for k in range(count)]
        start += count
    np.random.default_rng(seed).shuffle(drawn)
    names = {str(name) for _, name in drawn}
    found = object_numbers([(str(file), str(name)) for file, name in drawn])
    assert {found.get(name, name) for name in names} == {stem}


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["phase {n}", "type_{n}", "{n}", "cell{n}", "cell {n}", "grade-{n}", "CD{n}", "class {n:02}", "{n}_phase"]),
    st.integers(2, 6),
    st.lists(st.integers(3, 40), min_size=2, max_size=8),
    st.integers(0, 99),
)
def test_few_names_of_many_marks_in_several_files_are_classes(pattern, classes, counts, seed):
    rng = np.random.default_rng(seed)
    drawn = [
        (f"{file}", pattern.format(n=number))
        for file, count in enumerate(counts)
        for number in range(1, classes + 1)
        for _ in range(int(rng.integers(2, count + 1)))
    ]
    assert object_numbers(drawn) == {}


def test_kinds_that_are_drawn_once_are_classes():
    assert object_numbers([(f"{i}", f"phase {k}") for i in range(5) for k in (1, 2)]) == {}
    assert object_numbers([(f"{i}", f"layer {k}") for i in range(5) for k in (1, 2, 3, 4)]) == {}


def test_the_only_one_of_its_kind():
    assert object_numbers([("a", "cell-1"), ("b", "cell-1")]) == {"cell-1": "cell"}
    assert object_numbers([("a", "cell"), ("a", "cell-1")]) == {"cell-1": "cell"}
    assert object_numbers([("a", "Ki67"), ("b", "Ki67")]) == {}
    assert object_numbers([("a", "Tumor 2")] * 9 + [("a", "Tumor")] * 9) == {}
    named = uuid.UUID(int=5)
    assert object_numbers([("a", f"{named}")]) == {f"{named}": ""}
