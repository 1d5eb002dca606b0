"""Which label belongs to which image: found however it is written, and never two for one image."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazylabels_monai.data.building.names import ImageName, LabelName, folded, image_beside, match, nearest


def record(text):
    return LabelName(text, is_record=True)


@pytest.mark.parametrize(
    ("said", "image"),
    [
        ("cell 1.png", ImageName("cell 1")),
        ("images/cell 1.png", ImageName("cell 1")),
        ("images\\7\\cell 1.png", ImageName("cell 1")),
        ("C:\\Users\\me\\cell 1.png", ImageName("cell 1")),
        ("CELL 1.PNG", ImageName("cell 1")),
        ("cell 1.czi", ImageName("cell 1")),
        ("cell 1", ImageName("cell 1")),
        ("images/0a1b2c3d-cell 1.png", ImageName("cell 1")),
        ("..\\..\\label-studio\\media\\upload\\4\\0a1b2c3d-cell_1.png", ImageName("cell 1")),
        ("/data/upload/4/0a1b2c3d-cell_1.png", ImageName("cell (1)")),
        ("/data/upload/4/0a1b2c3d-cell_1.png", ImageName("cell 1", ("plate",))),
        ("/data/local-files/?d=cell%201.png", ImageName("cell 1")),
        ("/data/local-files/?d=my%5Cplate%5Ccell%201.png", ImageName("cell 1", ("plate",))),
        ("https://x.org/a/cell%25201.png?token=4&expires=9", ImageName("cell 1")),
        ("s3://bucket/plate/cell%201.png", ImageName("cell 1", ("plate",))),
        ("M%C3%BCller.png", ImageName("Mu\u0308ller")),
        ("M\u00fcller.png", ImageName("Mu\u0308ller")),
        ("plate/a.png", ImageName("a", ("plate",))),
        ("job/plate/a.png", ImageName("a", ("plate",))),
        ("set/images/plate/a.png", ImageName("a", ("plate",), ("/", "set", "images"))),
        ("a.png", ImageName("a", ("plate",))),
        ("a.ome.tif", ImageName("a.ome")),
        ("a.tif - Series 0", ImageName("a")),
    ],
)
def test_an_image_is_found_however_a_file_writes_it(said, image):
    assert match([record(said)], [ImageName("other"), image]).image_of == {0: 1}


@pytest.mark.parametrize(
    ("stem", "image"),
    [
        ("a_mask", "a"),
        ("A-Labels", "a"),
        ("mask_a", "a"),
        ("a_cp_masks", "a"),
        ("a_seg", "a"),
        ("a_Simple Segmentation", "a"),
        ("a_mask", "a_img"),
        ("a.ome.tif_RoiSet", "a.ome"),
        ("a.2024.01", "a.2024.01.ome"),
        ("a.png", "a"),
        ("a.tif - Series 0", "a"),
    ],
)
def test_endings_and_beginnings(stem, image):
    assert match([LabelName(stem)], [ImageName("b"), ImageName(image)]).image_of == {0: 1}


@pytest.mark.parametrize(
    ("labels", "images", "settled"),
    [
        # exact before loosened
        (["a_mask", "a"], ["a", "a_mask"], {0: 1, 1: 0}),
        (["im%201", "im 1"], ["im 1", "im%201"], {0: 1, 1: 0}),
        (["im_1", "im_10"], ["im_1", "im_10"], {0: 0, 1: 1}),
        # two claim one: nobody has it
        (["a", "a_mask"], ["a"], {}),
        (["a", "A"], ["a"], {}),
        # a stranger stays one
        (["im_11", "im_1"], ["im_1"], {1: 0}),
        (["b", "a"], ["a", "c"], {1: 0}),
    ],
)
def test_one_label_and_one_image(labels, images, settled):
    assert match([LabelName(text) for text in labels], [ImageName(name) for name in images]).image_of == settled


def test_folders_tell_equal_names_apart_and_contradict():
    said = [record(f"plate{n}/a.png") for n in range(3)]
    images = [ImageName("a", (f"plate{n}",)) for n in (2, 0)]
    assert match(said, images).image_of == {0: 1, 2: 0}
    assert match(said, images).lost == [1]
    assert match(said, [ImageName("a")]).rivals == {0: [0, 1, 2]}
    assert match([record("a.png")], images).torn == {0: [0, 1]}
    assert match([record("plate1/a.png")], [ImageName("a", ("plate0",))]).lost == [0]


# --------------------------------------------------------------------------------------------------- any names at all

NAMES = st.text("abAé1_ -()", min_size=1, max_size=6).filter(lambda n: n.strip(" .-()_"))
WAYS = {
    "as it is": lambda n: n + ".png",
    "decomposed": lambda n: unicodedata.normalize("NFD", n) + ".png",
    "upper case": lambda n: n.upper() + ".png",
    "address": lambda n: "https://x.org/d/" + quote(n) + ".png",
    "local": lambda n: "/data/local-files/?d=" + quote(f"my/{n}.png"),
    "upload": lambda n: f"upload/3/0a1b2c3d-{n}.png",
    "windows": lambda n: f"images\\{n}.png",
    "mask": lambda n: n + "_mask.png",
}


def plain(text):
    """Everything that may differ taken away, over and over: what two names of one image have in common."""
    before = None
    while text != before:
        before = text
        text = folded(unquote(text)).replace("\\", "/")
        text = re.sub(r".*\?d=", "", text).rpartition("/")[2]
        text = re.sub(r"^[0-9a-f]{8}-(?=.)", "", text)
        text = re.sub(r"(?<=.)\.[a-z][a-z0-9]{1,4}( - .+)?$", "", text)
        text = re.sub(r"(?<=.)[-_ .]?(masks?|labels?)$", "", text)
        text = re.sub(r"[^-\w.]", "", text.strip().replace(" ", "_")) or text
    return text


@st.composite
def scenes(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique_by=folded))
    labels = draw(st.lists(st.tuples(st.one_of(st.sampled_from(names), NAMES), st.sampled_from(sorted(WAYS))), max_size=7))
    return names, [WAYS[way](name) for name, way in labels]


@settings(max_examples=100, deadline=None)
@given(scenes(), st.randoms())
def test_no_image_has_two_labels_and_no_label_is_passed_over(scene, random):
    names, texts = scene
    images, labels = [ImageName(name) for name in names], [record(text) for text in texts]
    found = match(labels, images)
    # each label has one fate, each image one label
    contested = {n for group in found.rivals.values() for n in group} - set(found.torn)
    fates = [*found.image_of, *found.torn, *found.lost, *contested]
    assert sorted(fates) == list(range(len(labels)))
    assert len(set(found.image_of.values())) == len(found.image_of)
    assert not set(found.image_of.values()) & set(found.rivals)
    # sound: names that match are the same name, written in another way
    for label, image in found.image_of.items():
        assert plain(texts[label]) == plain(names[image])
    # complete: where one label and one image have a name in common, and nobody else, they are given to each other
    for number, text in enumerate(texts):
        same = [n for n, name in enumerate(names) if plain(name) == plain(text)]
        others = [n for n, other in enumerate(texts) if plain(other) == plain(text)]
        if len(same) == len(others) == 1:
            assert found.image_of.get(number) == same[0]
        if text.removesuffix(".png") in names and texts.count(text) == 1 and number in found.image_of:
            assert names[found.image_of[number]] == text.removesuffix(".png")
    # the order does not matter
    a, b = list(range(len(labels))), list(range(len(images)))
    random.shuffle(a)
    random.shuffle(b)
    again = match([labels[n] for n in a], [images[n] for n in b])
    assert {a[label]: b[image] for label, image in again.image_of.items()} == found.image_of


@settings(max_examples=100, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=6, unique_by=folded), st.sampled_from(sorted(WAYS)))
def test_a_label_for_each_image_in_one_way(names, way):
    """There and back: every image gets the label that was made from its name, or none is given away."""
    found = match([record(WAYS[way](name)) for name in names], [ImageName(name) for name in names])
    if len({plain(name) for name in names}) == len(names):
        assert found.image_of == {n: n for n in range(len(names))}
    if way in ("as it is", "decomposed", "windows"):
        assert found.image_of == {n: n for n in range(len(names))}


def test_labels_beside_images():
    stems = {folded(stem) for stem in ("a", "a_mask", "b_img", "masked")}
    assert image_beside("a_mask", stems) == "a"
    assert image_beside("a_final", stems) is None
    assert image_beside("a_final", stems, ("_final",)) == "a"
    assert image_beside("masked", stems) is None


def test_the_nearest_name():
    assert nearest("imgae_1", ["image_1", "other"]) == "image_1"
    assert nearest("Mu\u0308ller 1", ["M\u00fcller 2"]) == "M\u00fcller 2"
    assert nearest("im7.png", ["im70.png", "im007.png"]) == "im007.png"
    assert nearest("xyz", ["image_1"]) is None


def test_the_nearest_name_is_one_that_goes_on():
    assert nearest("im0", ["im0_0000", "im1_0000", "im3_0000"]) == "im0_0000"
    assert nearest("im0_mask_b", ["im", "im0", "im00"]) == "im0"
