"""Label Studio's JSON against the masks that its own converter makes of it."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lazylabels_monai.data.building.names import ImageName, LabelName, match
from lazylabels_monai.labels.annotations import AnnotationError, NoMarksError
from lazylabels_monai.labels.formats import read_annotations
from lazylabels_monai.labels.formats.label_studio import _brushed, _unpack
from tests.labels.formats.drawing import DATA, SHAPE, assert_is, canvas, masks_of, write_json

#: Packed by label-studio-converter 0.0.59, as are the pictures beside it.
BRUSH = json.loads((DATA / "label_studio_brush.json").read_text())


def task(*regions, **more):
    return [
        {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-left.png"}, "annotations": [{"result": list(regions)}], **more}
    ]


def region(kind, value, id="r", name="cell", **more):
    named = {f"{kind}labels": [name]} if name else {}
    return {
        "id": id,
        "type": f"{kind}labels",
        "original_width": SHAPE[1],
        "original_height": SHAPE[0],
        "image_rotation": 0,
        "value": {**value, **named},
        **more,
    }


def test_brushed_regions_are_those_of_label_studios_converter():
    (annotation,) = read_annotations(DATA / "label_studio_brush.json")
    assert (annotation.image, annotation.size) == ("/data/upload/1/0a1b2c3d-left.png", SHAPE)
    assert [mark.name for mark in annotation.marks] == ["air bubble", "ice crystal"]
    for mark, expected in zip(annotation.marks, masks_of("label_studio_brush.png"), strict=True):
        np.testing.assert_array_equal(canvas(mark), expected > 127)
    assert match([LabelName(annotation.image, is_record=True)], [ImageName("left")]).image_of == {0: 0}


def test_polygons_ellipses_and_points(tmp_path):
    polygon = [[10, 20], [70, 22.5], [50, 90]]
    regions = [
        region("polygon", {"points": polygon, "closed": True}),
        region("ellipse", {"x": 50, "y": 50, "radiusX": 20, "radiusY": 20, "rotation": 30}, "e"),
        region("keypoint", {"x": 25, "y": 75, "width": 0.3}, "k", "interface"),
        {"id": "c", "type": "choices", "value": {"choices": ["good"]}},
    ]
    (annotation,) = read_annotations(write_json(tmp_path / "a.json", task(*regions)))
    assert [(m.kind, m.name) for m in annotation.marks] == [("area", "cell"), ("area", "cell"), ("point", "interface")]
    size = np.array([SHAPE[1], SHAPE[0]]) / 100
    assert_is(canvas(annotation.marks[0]), shapely.Polygon(np.array(polygon) * size))
    circle = shapely.affinity.scale(shapely.Point(0, 0).buffer(1, quad_segs=200), *(20 * size))
    turned = shapely.affinity.translate(shapely.affinity.rotate(circle, 30, origin=(0, 0)), *(50 * size))
    assert_is(canvas(annotation.marks[1]), turned)
    assert np.argwhere(canvas(annotation.marks[2], radius=0)).tolist() == [[45, 20]]
    assert not annotation.left_out


def test_a_region_drawn_by_one_tag_and_named_by_another(tmp_path):
    points = {"points": [[10, 20], [70, 22], [50, 90]]}
    both = [region("polygon", points, name=None, type="polygon"), region("", {**points, "labels": ["cell"]}, name=None)]
    both[1]["type"] = "labels"
    (annotation,) = read_annotations(write_json(tmp_path / "a.json", task(*both)))
    assert [mark.name for mark in annotation.marks] == ["cell"]


def _spoilt(**values):
    spoilt = copy.deepcopy(BRUSH[0]["annotations"][0]["result"][0])
    spoilt["id"] = "odd"
    for key, value in values.items():
        (spoilt if key in spoilt else spoilt["value"])[key] = value
    return spoilt


RLE = BRUSH[0]["annotations"][0]["result"][0]["value"]["rle"]


@pytest.mark.parametrize(
    "odd",
    [
        _spoilt(rle=RLE[:-9]),
        _spoilt(rle=[]),
        _spoilt(rle=None),
        _spoilt(original_width=50),
        _spoilt(original_width=0),
        _spoilt(image_rotation=90),
        region("polygon", {"points": [[1, 2], [3, 4]]}, "odd"),
        region("polygon", {"points": [[1, 2], [3, 4], [5, float("nan")]]}, "odd"),
        region("rectangle", {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0}, "odd"),
        region("ellipse", {"x": None, "y": 2, "radiusX": 3, "radiusY": 4}, "odd"),
        region("polygon", {"points": None}, "odd"),
    ],
)
def test_one_odd_region_is_left_out(tmp_path, odd):
    good = BRUSH[0]["annotations"][0]["result"]
    (annotation,) = read_annotations(write_json(tmp_path / "a.json", task(*good, odd)))
    assert len(annotation.marks) == 2
    (phrase,) = annotation.left_out
    assert phrase.startswith("region 'odd' ")
    with pytest.raises(NoMarksError, match="no mark can be used"):
        read_annotations(write_json(tmp_path / "b.json", task(odd)))


def test_two_annotators_are_two_annotations_and_cancelled_ones_none(tmp_path):
    result = BRUSH[0]["annotations"][0]["result"]
    content = task()
    content[0]["annotations"] = [{"result": result}, {"result": result}, {"result": result, "was_cancelled": True}]
    assert len(read_annotations(write_json(tmp_path / "a.json", content))) == 2


def square(left, to_name=None):
    corners = [[left, 10], [left + 10, 10], [left + 10, 30], [left, 30]]
    return region("polygon", {"points": corners}, f"r{left}", **({} if to_name is None else {"to_name": to_name}))


BESIDE = {"previous": "a.png", "image": "/data/b.png"}
TEXT = {"id": "t", "type": "labels", "to_name": "text", "value": {"start": 0, "end": 3, "text": "one", "labels": ["word"]}}
SEVERAL = {
    "the labelled one": (BESIDE, [square(20, "image")], {"/data/b.png": [20]}),
    "both": (BESIDE, [square(2, "image"), square(5, "previous"), square(7, "image")], {"/data/b.png": [2, 7], "a.png": [5]}),
    "twice the same": ({"image": "b.png", "copy": "b.png"}, [square(20, "img")], {"b.png": [20]}),
    "one, another name": ({"image": "b.png", "place": "x"}, [square(20, "img")], {"b.png": [20]}),
    "one, another name, and a text": ({"image": "b.png", "text": "x"}, [square(20, "img"), TEXT], {"b.png": [20]}),
    "a text alone": ({"image": "b.png", "text": "x"}, [TEXT], {"b.png": []}),
    "a choice": (BESIDE, [{**TEXT, "type": "choices", "to_name": "image", "value": {"choices": ["no"]}}], {"/data/b.png": []}),
}  # fmt: skip


@pytest.mark.parametrize(("data", "regions", "expected"), SEVERAL.values(), ids=SEVERAL)
def test_marks_lie_on_the_picture_that_they_were_drawn_on(tmp_path, data, regions, expected):
    content = task(*regions, data=data)
    content += task(square(1, "image"), id=2, data={"image": "other.png"})  # so that there is a mark
    found = read_annotations(write_json(tmp_path / "a.json", content))
    lefts = {one.image: [round(mark.polygons[0][0][:, 1].min() * 100 / SHAPE[1]) for mark in one.marks] for one in found}
    assert lefts == {**expected, "other.png": [1]}


def test_an_annotation_without_marks_is_of_the_picture_that_the_others_are_of(tmp_path):
    content = task(square(20, "image"), data=BESIDE) + task(id=2, data={"previous": "c.png", "image": "d.png"})
    found = read_annotations(write_json(tmp_path / "a.json", content))
    assert [(one.image, len(one.marks)) for one in found] == [("/data/b.png", 1), ("d.png", 0)]
    content[0]["annotations"][0]["result"].append(square(50, "previous"))  # nobody knows now
    found = read_annotations(write_json(tmp_path / "a.json", content))
    assert [one.image for one in found] == ["/data/b.png", "a.png"]


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (BESIDE, "img"),
        (BESIDE, None),
        ({"image": "http://host/123", "thumb": "b.png"}, "image"),
        ({"image": ["a.png", "b.png"], "thumb": "b.png"}, "image"),
    ],
)
def test_marks_of_a_picture_that_nobody_names_are_refused(tmp_path, data, key):
    content = task(square(20, key), data=data)
    of = f"of '{key}'" if key else "without to_name"
    said = rf"^annotation file '.*a\.json': task 1 has regions {of}, and the pictures in its data are .*b\.png': leave"
    with pytest.raises(AnnotationError, match=said):
        read_annotations(write_json(tmp_path / "a.json", content))


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (
            task(region("polygon", {"points": [[1, 2], [30, 4], [5, 60]]}), data={"text": "x"}),
            AnnotationError,
            "names no picture",
        ),
        ([{"id": 1, "data": {}, "annotations": []}], NoMarksError, "nobody annotated"),
        ([{"id": 1, "image": "a.png", "annotation_id": 3, "label": []}], NoMarksError, "another JSON of Label Studio"),
    ],
)
def test_unusable_exports_are_named(tmp_path, content, error, words):
    with pytest.raises(error, match=rf"a\.json'.*{words}"):
        read_annotations(write_json(tmp_path / "a.json", content))


def pack(values, rng, lengths=(3, 4, 8, 16)):
    """thi.ng/rle-pack, with runs and stretches of single values at random."""
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in lengths)
    at = 0
    while at < len(values):
        choice = int(rng.integers(4))
        run = 1
        while at + run < len(values) and values[at + run] == values[at] and run < 2 ** lengths[choice]:
            run += 1
        same = bool(rng.integers(2))
        count = run if same else int(rng.integers(1, min(2 ** lengths[choice], len(values) - at) + 1))
        bits += f"{int(same)}{choice:02b}{count - 1:0{lengths[choice]}b}"
        bits += f"{values[at]:08b}" if same else "".join(f"{v:08b}" for v in values[at : at + count])
        at += count
    bits += "0" * (-len(bits) % 8)
    return [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(1, 40)), min_size=1, max_size=12), st.integers(0, 10**6))
def test_any_packing_is_unpacked(runs, seed):
    values = np.repeat([v for v, _ in runs], [n for _, n in runs]).astype(np.uint8)
    lengths, found = _unpack(pack(values.tolist(), np.random.default_rng(seed)), len(values))
    np.testing.assert_array_equal(np.repeat(found, lengths), values)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, 1, 127, 128, 255])),
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_a_brushed_mask_is_its_alpha_wherever_the_picture_ends(alpha, seed, shape):
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (*alpha.shape, 4), dtype=np.uint8)
    picture[..., 3] = alpha
    packed = pack(picture.ravel().tolist(), rng)
    if not (alpha > 127).any():
        with pytest.raises(ValueError, match="no pixel"):
            _brushed(packed, alpha.shape)
        return
    part, mask = _brushed(packed, alpha.shape).draw(shape)
    drawn = np.zeros(shape, bool)
    drawn[part] = mask
    expected = np.zeros(shape, bool)
    height, width = np.minimum(shape, alpha.shape)
    expected[:height, :width] = alpha[:height, :width] > 127
    np.testing.assert_array_equal(drawn, expected)
