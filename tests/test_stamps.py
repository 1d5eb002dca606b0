"""Stamps and records: what differs is told, a line cut short is no line, and nobody's result bears another's record."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from enum import Enum
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from monai.transforms import Compose, LoadImaged, NormalizeIntensityd

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.result_files import RECORDS_FILE
from lazylabels_monai.stamps import (
    Record,
    Records,
    Stamp,
    StampError,
    described,
    locked,
    require_one_stamp,
    told_other_images,
    told_twice,
)

ONE = Stamp("11" * 16, {"classes": ["ice", "air"], "inferer": {"overlap": 0.5, "roi_size": [64, 64]}, "uncertainty": None})


def begun(folder, *stamps):
    records = Records(folder)
    for stamp in stamps:
        with locked(folder):
            records.add_stamp(stamp)
    return records


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Stamp("22" * 16, ONE.settings, "best.pt"), "weights model.pt (111111) there, best.pt (222222) now"),
        (ONE.having(classes=["air", "ice"]), "classes ice, air there, air, ice now"),
        (ONE.having(inferer={"overlap": 0.25, "roi_size": [64, 64]}), "inferer.overlap 0.5 there, 0.25 now"),
        (ONE.having(inferer={"overlap": 0.5, "roi_size": [64, 32]}), "inferer.roi_size 64, 64 there, 64, 32 now"),
        (ONE.having(uncertainty={"dropout_samples": 3}), "uncertainty None there, {'dropout_samples': 3} now"),
        (ONE.having(classes=[f"a long name of a class {k}" for k in range(9)]), "another classes"),
        (ONE.having(mirroring=True), "mirroring None there, True now"),
        (Stamp(ONE.weights, ONE.settings, version="9", answers=99), f"version {ONE.version} there, 9 now"),
        (ONE.having(a=1, b=2, c=3, d=4, e=5, f=6), "a None there, 1 now; b None there, 2 now; c None there, 3 now; d None"),
    ],
)
def test_what_differs_is_told(other, words):
    assert ONE.id != other.id
    assert ONE.unlike(other).startswith(words)
    assert ONE.unlike(other).count(";") <= 4


def test_where_the_weights_lay_and_who_wrote_them_makes_no_other_stamp():
    assert Stamp(ONE.weights, ONE.settings, "other.pt", version="0.0.1").id == ONE.id


def test_lines_come_back(tmp_path):
    image = tmp_path / "images" / "a.png"
    image.parent.mkdir()
    image.write_bytes(b"pixels")
    out = tmp_path / "out"
    out.mkdir()
    written = begun(out, ONE)
    written.add("a", Record.of(ONE, image, out))
    read = Records(out)
    assert (read.stamps, read.images) == (written.stamps, written.images) == ({ONE.id: ONE}, read.images)
    record = read.images["a"]
    assert record.image == "../images/a.png"
    assert record.same_image(image)
    assert record.same_place(image, out)
    assert record.same_place(os.path.relpath(image), os.path.relpath(out))
    link = tmp_path / "link"
    link.symlink_to(image.parent, target_is_directory=True)
    assert record.same_place(link / "a.png", f"{out}/")
    moved = image.rename(tmp_path / "b.png")
    assert record.same_image(moved)
    assert not record.same_place(moved, out)
    times = moved.stat()
    moved.write_bytes(b"PIXELS")
    os.utime(moved, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not record.same_image(moved), "the same size and time say nothing"


@pytest.mark.parametrize("cut", [1, 10, -1])
def test_a_line_that_a_kill_cut_short_is_no_line_and_the_next_one_is_whole(cut, tmp_path):
    records = begun(tmp_path, ONE)
    before = (tmp_path / RECORDS_FILE).read_bytes()
    records.add("a", Record(ONE.id, "a.png", "77"))
    line = (tmp_path / RECORDS_FILE).read_bytes()[len(before) :]
    (tmp_path / RECORDS_FILE).write_bytes(before + line[:cut])
    assert Records(tmp_path).images == {}
    Records(tmp_path).add("b", Record(ONE.id, "b.png", "88"))
    assert "b" in Records(tmp_path).images
    assert Records(tmp_path).stamps == {ONE.id: ONE}


def test_who_began_last_writes_and_the_other_is_told(tmp_path):
    other = ONE.having(mirroring=True)
    first = begun(tmp_path, ONE)
    first.add("a", Record(ONE.id))
    begun(tmp_path, other)
    with pytest.raises(StampError, match="another process has begun to predict otherwise"):
        first.add("b", Record(ONE.id))
    assert set(Records(tmp_path).images) == {"a"}
    begun(tmp_path, ONE)
    first.add("b", Record(ONE.id))


def test_many_write_at_a_time_and_no_line_is_lost(tmp_path):
    begun(tmp_path, ONE)

    def write(worker):
        records = Records(tmp_path)
        for number in range(25):
            records.add(f"{worker}_{number}", Record(ONE.id, f"{number}.png", "5" * 32))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Records(tmp_path).images) == 100
    for line in (tmp_path / RECORDS_FILE).read_text().splitlines():
        json.loads(line)


def results(folder, **stamps):
    folder.mkdir()
    records = begun(folder)
    for name, stamp in stamps.items():
        (folder / f"{name}_pred.png").touch()
        if stamp is not None:
            begun(folder, stamp)
            records.add(name, Record(stamp.id))
    return folder


def test_mixed_results_are_refused_and_those_of_unknown_origin_named(tmp_path):
    other = Stamp("22" * 16, ONE.settings)
    assert require_one_stamp(results(tmp_path / "none", a=None)) == (None, [])
    assert require_one_stamp(results(tmp_path / "one", a=ONE, b=ONE)) == (ONE, [])
    assert require_one_stamp(results(tmp_path / "partly", a=None, b=ONE)) == (ONE, ["a"])
    mixed = results(tmp_path / "mixed", a=ONE, b=other, c=ONE)
    with pytest.raises(LazyLabelsError, match=r"mixed' mixes results: those of 2 images \('a', \.\.\.\) and those of 'b'"):
        require_one_stamp(mixed)
    assert require_one_stamp(mixed, ["a", "c"]) == (ONE, [])
    (mixed / "b_pred.png").unlink()
    assert require_one_stamp(mixed) == (ONE, []), "a result that is gone mixes nothing"


class Colour(Enum):
    RED = "red"


def test_objects_that_do_the_same_read_the_same():
    def chain(**changed):
        given = {"channel_wise": True, **changed}
        return Compose([LoadImaged("image"), NormalizeIntensityd("image", **given)])

    assert described(chain()) == described(chain())
    json.dumps(described(chain()))
    assert " at 0x" not in json.dumps(described([chain(), object(), lambda: 0, Colour.RED, np.float32, np.float32(1)]))
    assert described(chain()) != described(chain(channel_wise=False))
    assert described(chain()) != described(chain(dtype=np.float16))
    assert described(np.arange(3)) != described(np.arange(4))
    assert described({"a": (1, {2, 3}), "b": None}) == {"a": [1, [2, 3]], "b": None}
    assert described(np.float32(0.5)) == 0.5


@pytest.mark.parametrize("name", [RECORDS_FILE, ".predicted.lock"])
def test_nothing_is_written_through_a_link(tmp_path, name):
    other = tmp_path / "precious.txt"
    other.write_text("precious")
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / name).symlink_to(other)
    with pytest.raises(LazyLabelsError, match="is a link"), locked(folder):
        Records(folder).add_stamp(Stamp("9c1b", {}))
    assert other.read_text() == "precious"


def test_one_picture_under_two_names_is_told(tmp_path):
    (tmp_path / "im").mkdir()
    (tmp_path / "out").mkdir()
    records = begun(tmp_path / "out", ONE)

    def made(name, content, pixels=""):
        image, result = tmp_path / "im" / f"{name}.png", tmp_path / "out" / f"{name}_pred.png"
        image.write_bytes(content)
        result.write_bytes(b"map")
        record = Record.of(ONE, image, tmp_path / "out").giving(result, [])
        records.add(name, replace(record, pixels=pixels))

    for name in "ab":
        made(name, name.encode())
    assert told_twice(tmp_path / "out", "ab") is None
    os.rename(tmp_path / "im" / "a.png", tmp_path / "im" / "sample.png")
    made("sample", b"a")
    said = told_twice(tmp_path / "out", ["a", "b", "sample"])
    assert "under two names, 'a', which is no more there, and 'sample', and" in said
    assert "remove a_pred.png there" in said
    assert told_twice(tmp_path / "out", ["a", "b", "sample"], ["a"]) == said
    assert told_twice(tmp_path / "out", ["a", "b", "sample"], ["b"]) is None
    assert told_twice(tmp_path / "out", ["b", "sample"]) is None, "of the one nothing is used"
    made("c", b"other tags", "pixels of c")
    made("d", b"tags", "pixels of c")
    assert told_twice(tmp_path / "out", "cd") is None, "both pictures are there, such as two empty fields"
    (tmp_path / "im" / "d.png").unlink()
    assert "'d', which is no more there, and 'c', and" in told_twice(tmp_path / "out", "cd")
    names = ["a", "b", "c", "d", "sample"]
    assert "'a', which is no more there, and 'sample' (the first of 2 such), and" in told_twice(tmp_path / "out", names)
    shutil.rmtree(tmp_path / "im")
    assert told_twice(tmp_path / "out", names) is None, "results that were taken elsewhere"


def test_images_that_are_not_those_of_their_results_are_told(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    records = begun(out, ONE)
    files = {}
    for name in "abc":
        files[name] = tmp_path / f"{name}.png"
        files[name].write_bytes(name.encode())
        records.add(name, replace(Record.of(ONE, files[name], out), pixels=f"pixels of {name}"))
    records.void("c", ONE)
    moved = tmp_path / "moved.png"
    moved.write_bytes(b"a")
    told = partial(told_other_images, out, pixels=lambda path: f"pixels of {Path(path).stem}")
    assert told(files) is None
    assert told({"a": moved}) is None
    assert told({"unknown": moved}) is None
    assert told({"c": moved}) is None, "what is being replaced says nothing"
    files["b"].write_bytes(b"other bytes")
    assert told({"b": files["b"]}) is None, "other bytes of the same pixels"
    said = told({"a": files["b"], "b": files["b"], "x": files["b"]})
    assert said.startswith(f"1 of 3 images are not those that were predicted into '{out}' ('{files['b']}' is one): predict")
    assert told_other_images(tmp_path / "none", files, str) is None
