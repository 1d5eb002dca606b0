"""The report: what it shows from which files, what it leaves out, and the page in a real browser."""

from __future__ import annotations

import fcntl
import html
import json
import os
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.simulating.synthetic import make_image
from lazylabels_monai.images.pictures import overlay_contours
from lazylabels_monai.labels.interfaces import touching_pairs
from lazylabels_monai.measure import measure_objects
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import ReportError, make_report
from lazylabels_monai.report.figures import histogram_plot
from lazylabels_monai.report.gallery import object_colours
from lazylabels_monai.report.page import number, unbroken
from lazylabels_monai.report.probability import object_probability
from lazylabels_monai.report.reading import read_curves

#: Names that HTML, SVG and matplotlib's formulas would each trip over.
CLASSES = ["<b>air</b> & $x_", 'ice "crystal"']
SHAPE = (96, 120)


def soft(classes: np.ndarray, planes: int, sure: float) -> np.ndarray:
    """Probabilities (planes, H, W) that give the class map's own value ``sure``."""
    other = (1 - sure) / (planes - 1)
    return np.where(np.arange(planes)[:, None, None] == classes, sure, other).astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Images, a prediction of them with everything, the folder of its training; not to be written to."""
    root = tmp_path_factory.mktemp("report")
    for folder in ("images", "pred", "trained/models", "trained/tensorboard"):
        (root / folder).mkdir(parents=True)
    for k in range(3):
        name, image = f"im{k}", make_image(SHAPE, seed=[4, k])
        out, classes, ids = root / "pred", image["classes"], image["instances"].astype(np.uint16)
        Image.fromarray(image["image"]).save(root / "images" / f"{name}.png")
        Image.fromarray(classes).save(out / f"{name}_pred.png")
        tifffile.imwrite(out / f"{name}_instances.tif", ids)
        Image.fromarray(overlay_contours(image["image"], classes, ids)).save(out / f"{name}_overlay.png")
        # im1 is the least sure, then im0
        for task, planes in (("segmentation", soft(classes, 3, (0.8, 0.6, 0.9)[k])), ("detection", soft(classes, 3, 0.8))):
            tifffile.imwrite(out / f"{name}_{task}_probability.tif", planes)
        tifffile.imwrite(out / f"{name}_separation_probability.tif", soft((ids == 0).astype(int), 2, 0.7))
    images = root / "images"
    measure_folder(root / "pred", root / "pred" / "measured", images=images, pixel_size="0.5um", classes=CLASSES, resamples=200)
    metrics = {
        "images": 3,
        "segmentation": {
            "dice": {CLASSES[0]: 0.8125, CLASSES[1]: 0.75, "mean": 0.78125},
            "dice_pooled": {CLASSES[0]: 0.875, CLASSES[1]: None, "mean": 0.875},
        },
        "separation": {"precision": 0.6875, "recall": 0.9375},
        "objects": {"f1@0.5": 0.5625, "f1@0.5 three maps": 0.5625, "pq three maps": 0.4375, "f1@0.5 components": 0.3125},
    }
    (root / "pred" / "metrics.json").write_text(json.dumps(metrics))
    (root / "pred" / "metrics.csv").write_text("image,dice mean\nimages/im0.png,0.71\nimages/im1.png,0.72\nimages/im2.png,\n")
    (root / "trained" / "models" / "model.pt").write_bytes(b"")
    (root / "trained" / "models" / "classes.json").write_text(json.dumps(CLASSES))
    (root / "trained" / "models" / "network.json").write_text('{"channels": [16, 32], "note": "</pre><script>"}')
    write_events(
        root / "trained" / "tensorboard", {"loss/total": [3, 2, 1], "loss/detection": [2, 1, 0.5], "val_mean_dice": [0.5]}
    )
    return root


def write_events(folder: Path, curves: dict[str, list[float]], start: int = 1) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for tag, values in curves.items():
            for epoch, value in enumerate(values, start):
                writer.add_scalar(tag, value, epoch)


@pytest.fixture(scope="module")
def page(made, tmp_path_factory) -> Path:
    """The full report, moved away from everything that it was made from."""
    weights = made / "trained" / "models" / "model.pt"
    file = make_report(made / "pred", images=made / "images", weights=weights, command="a <command>")
    return Path(shutil.move(file, tmp_path_factory.mktemp("page") / "report.html"))


def values(text: str) -> set[float]:
    """The unrounded numbers of a page."""
    return {float(value) for value in re.findall(r'<data value="([^"]+)">', text)}


def contains(found: set[float], value: float) -> bool:
    return any(abs(value - other) <= 1e-7 * max(1, abs(value)) for other in found)


def test_numbers_of_the_tables_are_in_the_page(made, page):
    found, folder = values(page.read_text()), made / "pred" / "measured"
    summary = pd.read_csv(folder / "summary.csv")
    statistics = ["number_density_per_um2", "area_fraction", "mean_diameter_um", "median_diameter_um"]
    for _, row in summary.iterrows():
        for name in (*statistics, *(("p10_diameter_um", "p90_diameter_um") if row["scope"] == "all" else ())):
            for column in (name, f"{name}_low", f"{name}_high"):
                assert np.isnan(row[column]) or contains(found, row[column]), (row["image"], column)
    assert contains(found, len(pd.read_csv(folder / "objects.csv")))
    for value in (0.8125, 0.75, 0.78125, 0.875, 0.6875, 0.9375, 0.5625, 0.4375, 0.3125, 0.71, 0.72):
        assert contains(found, value), value
    assert not contains(found, 0.123456)


def test_nothing_is_fetched_and_no_name_becomes_markup(page):
    text = page.read_text()
    assert all(link.startswith(("data:", "#")) for link in re.findall(r'(?:src|href)="([^"]*)"', text))
    assert not re.search(r"url\((?!#)|@import|\bfetch\(|<link rel=\"stylesheet", text)
    assert "default-src 'none'" in text
    assert "<b>air" not in text
    assert html.escape(CLASSES[0], quote=False) in text
    assert text.count("<script>") == 1
    assert "&lt;command&gt;" in text
    assert len(re.findall(r'\bid="', text)) == len(set(re.findall(r'\bid="[^"]*"', text))), "an id stands twice"


def test_what_is_least_probable_comes_first(page):
    text = page.read_text()
    order = re.findall(r"<figcaption><strong>(\w+)</strong>", text)
    assert order == ["im1", "im0", "im2"]
    shown = [
        float(value) for value in re.findall(r'<strong><data value="([^"]+)">[^<]*</data></strong> mean probability', text)
    ]
    assert len(shown) == 12
    assert shown == sorted(shown)
    assert shown[0] == pytest.approx(0.6, abs=1e-6)


def test_the_probability_of_an_object_is_the_one_that_measure_gives():
    image, rng = make_image(SHAPE, seed=9), np.random.default_rng(0)
    planes = rng.dirichlet([1, 1, 1], SHAPE).transpose(2, 0, 1)
    classes = planes.argmax(0).astype(np.uint8)
    ids = np.where(classes > 0, image["instances"], 0)
    rows = object_probability(ids, planes)
    expected = measure_objects(ids, classes, probability=planes.max(0))["mean_probability"]
    np.testing.assert_allclose(rows["mean_probability"], expected)
    assert rows["id"].tolist() == np.unique(ids[ids > 0]).tolist()
    assert rows["margin"].isna().all()


def test_margin_is_taken_well_inside_an_object():
    ids = np.zeros((20, 40), int)
    ids[2:18, 2:18], ids[2:18, 20:36], ids[19, 38:] = 7, 3, 9
    interface = np.zeros((20, 40))
    interface[2:18, 17] = 0.9  # on the rim of 7
    interface[10, 24:30] = 0.4  # a line inside 3
    rows = object_probability(ids, soft((ids > 0).astype(int), 2, 1.0), np.stack([1 - interface, interface])).set_index("id")
    assert rows.loc[7, "margin"] == pytest.approx(0.5)
    assert rows.loc[3, "margin"] == pytest.approx(0.1)
    assert np.isnan(rows.loc[9, "margin"]), "it has no inside"
    assert rows.loc[3, ["row_min", "row_max", "col_min", "col_max"]].tolist() == [2, 18, 20, 36]
    assert len(object_probability(np.zeros((4, 4), int), np.ones((2, 4, 4)))) == 0


def test_a_bare_prediction_is_measured_and_the_rest_is_named(made, tmp_path):
    for name in ("im0", "im1"):
        shutil.copy(made / "pred" / f"{name}_pred.png", tmp_path)
    text = make_report(tmp_path, pixel_size="250 nm").read_text()
    assert "measured for this report" in text
    measure_folder(tmp_path, tmp_path / "m", pixel_size="250 nm", resamples=200)
    summary = pd.read_csv(tmp_path / "m" / "summary.csv")
    assert all(contains(values(text), value) for value in summary["mean_diameter_um"])
    for remedy in ("--probabilities", "--images", "--training", "--weights", "run evaluating"):
        assert remedy in text, remedy
    for section in ("objects", "training", "metrics"):
        assert f'<section id="{section}">' not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["im0_pred.png", "im1_pred.png", "m", "report.html"]


def test_lengths_are_shown_in_a_unit_that_fits(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred", ignore=shutil.ignore_patterns("measured"))
    out, truth = tmp_path / "pred", tmp_path / "truth"
    shutil.copytree(out, truth)
    for k in range(3):  # some objects are overlooked
        classes, ids = np.asarray(Image.open(out / f"im{k}_pred.png")), tifffile.imread(out / f"im{k}_instances.tif")
        tifffile.imwrite(out / f"im{k}_instances.tif", np.where(ids % 5 == 0, 0, ids))
        Image.fromarray(np.where(ids % 5 == 0, 0, classes)).save(out / f"im{k}_pred.png")
    result = measure_folder(out, out / "measured", classes=CLASSES, resamples=200, pixel_size="2nm", truth=truth)
    text = make_report(out, images=made / "images").read_text()
    shown = re.sub(r"<[^>]+>", "", text)
    mean = result["classes"][CLASSES[0]]["mean_diameter_um"]["value"]
    assert mean < 0.1
    assert f'<data value="{mean:.8g}">{mean * 1000:.1f}</data>' in text
    assert "equivalent diameter (nm)" in shown
    assert "A pixel is 2 nm wide." in shown
    error = result["error"][CLASSES[0]]["area_fraction"]
    assert error["error"] < 0
    low, high = (re.sub(r"<[^>]+>", "", number(error[end], scale=100)) for end in ("error_low", "error_high"))
    assert f"{low} to {high}" in shown
    assert "area fraction, %" in shown
    assert "diameter um" not in shown


def test_objects_in_contact_differ_in_colour():
    ids = np.kron(np.arange(1, 145).reshape(12, 12), np.ones((4, 4), int))  # each touches the one 12 further, too
    colours = object_colours(ids)
    for a, b in touching_pairs(ids):
        assert colours[a] != colours[b], (a, b)
    assert set(colours[1:]) == set(range(12))
    assert object_colours(np.zeros((3, 4), int)).tolist() == [0]


def test_no_line_ends_inside_an_option():
    shown = unbroken("a --pixel-size <b> non--option")
    assert shown == 'a <span class="option">--pixel-size</span> &lt;b&gt; non--option'


def test_an_evaluation_alone(made, tmp_path):
    for name in ("metrics.json", "metrics.csv"):
        shutil.copy(made / "pred" / name, tmp_path)
    text = make_report(tmp_path).read_text()
    assert contains(values(text), 0.8125)
    assert '<section id="summary">' not in text
    assert "predict images into this folder" in text


def test_volumes_are_named_in_one_sentence(tmp_path):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}_instances.tif", np.ones((5, 8, 8), np.uint16), metadata={"axes": "ZYX"})
    (tmp_path / "metrics.json").write_text('{"images": 2}')
    text = make_report(tmp_path).read_text()
    assert "2 volumes: only 2D" in text
    assert "5 pages" not in text


def test_class_maps_alone_have_objects_to_check_too(tmp_path):
    classes = np.pad(np.ones((10, 10), np.uint8), 10)
    Image.fromarray(classes).save(tmp_path / "one_pred.png")
    tifffile.imwrite(tmp_path / "one_segmentation_probability.tif", soft(classes, 2, 0.75))
    text = make_report(tmp_path, classes=["square"]).read_text()
    assert re.findall(r'<strong><data value="([^"]+)">0.750</data></strong> mean probability', text) == ["0.75"]
    assert 'alt="instances of one"' in text
    assert 'id="layer-detection"' not in text, "there is no map of it"


def test_an_image_of_another_size_is_not_stretched(made, tmp_path):
    shutil.copy(made / "pred" / "im0_pred.png", tmp_path)
    (tmp_path / "images").mkdir()
    Image.new("L", (50, 50)).save(tmp_path / "images" / "im0.png")
    text = make_report(tmp_path, images=tmp_path / "images").read_text()
    assert "(50, 50)" in text
    assert 'alt="im0"' not in text


def test_broken_parts_are_left_out_and_named(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred")
    out = tmp_path / "pred"
    (out / "metrics.json").write_text("{")
    (out / "measured" / "summary.json").write_text("[]")
    (out / "im0_segmentation_probability.tif").write_bytes(b"no TIFF")
    (out / "im2_pred.png").write_bytes(b"no PNG")
    text = make_report(out).read_text()
    notes = text[text.index('<section id="notes">') :]
    for name in ("metrics.json", "summary.json", "im0_segmentation_probability.tif", "im2_pred.png"):
        assert name in notes or name.removesuffix(".json") in notes, name
    assert re.findall(r"<figcaption><strong>(\w+)</strong>", text) == ["im1"]


def test_measurements_of_another_prediction_are_not_shown_in_silence(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred")
    assert "older than the prediction" not in make_report(tmp_path / "pred").read_text()
    now = time.time() + 60
    os.utime(tmp_path / "pred" / "im1_pred.png", (now, now))
    assert "older than the prediction" in make_report(tmp_path / "pred", overwrite=True).read_text()
    for file in (tmp_path / "pred").glob("im1_*"):
        file.unlink()
    assert "2 of them are among the 2 predicted" in make_report(tmp_path / "pred", overwrite=True).read_text()


@pytest.mark.parametrize("kind", ["missing", "empty", "there", "images", "weights"])
def test_what_cannot_be_reported_on_is_one_sentence(made, tmp_path, kind):
    out = tmp_path / "out"
    if kind != "missing":
        out.mkdir()
    if kind in ("there", "images", "weights"):
        shutil.copy(made / "pred" / "im0_pred.png", out)
    given = {"images": {"images": tmp_path / "none"}, "weights": {"weights": tmp_path / "model.pt"}}.get(kind, {})
    if kind == "there":
        (out / "report.html").write_text("mine")
    message = {
        "missing": "no folder",
        "empty": "holds neither",
        "there": "--overwrite",
        "images": "none",
        "weights": "model.pt",
    }
    with pytest.raises(ValueError, match=message[kind]):
        make_report(out, **given)
    assert kind != "there" or (out / "report.html").read_text() == "mine"


def test_a_report_is_there_as_a_whole_or_not_at_all(made, tmp_path, monkeypatch):
    shutil.copy(made / "pred" / "im0_pred.png", tmp_path)
    (tmp_path / "report.html").write_text("mine")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("lazylabels_monai.report.page.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        make_report(tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["im0_pred.png", "report.html"]
    assert (tmp_path / "report.html").read_text() == "mine"


def test_pictures_are_limited_in_number_and_side(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred")
    text = make_report(tmp_path / "pred", images=made / "images", max_images=2, max_objects=5, longest_side=60).read_text()
    assert text.count("aspect-ratio: 60 / 48") == 2
    assert "2 of 3 images" in text
    assert text.count("<li><img") == 5


def test_scale_bar_has_the_length_that_it_says(page):
    percent, length = re.search(r'class="bar" style="width: ([\d.]+)%">(\d+) µm', page.read_text()).groups()
    assert float(percent) / 100 * SHAPE[1] * 0.5 == pytest.approx(float(length), rel=1e-3)


def test_of_an_epoch_trained_twice_the_last_counts(tmp_path):
    write_events(tmp_path / "tensorboard", {"loss/total": [3, 2]})
    time.sleep(1.1)  # event files are sorted by the second
    write_events(tmp_path / "tensorboard", {"loss/total": [1.5, 1]}, start=2)
    curves, folder = read_curves([tmp_path / "none", tmp_path], lambda note: pytest.fail(note))
    assert curves == {"loss/total": [(1, 3.0), (2, 1.5), (3, 1.0)]}
    assert folder == tmp_path / "tensorboard"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ((0.123456,), "0.123"),
        ((99.96,), "100"),
        ((12.345, 3), "12.3"),
        ((0.5, 3, 0, 100), "50"),
        ((0.0,), "0.00"),
        ((-1.5,), "\N{MINUS SIGN}1.50"),
        ((2.5e-7,), "2.50·10⁻⁷"),
        ((1094, 3, 0), "1094"),
        ((float("nan"),), "–"),
        ((None,), "–"),
    ],
)
def test_numbers_for_readers(arguments, shown):
    assert re.sub(r"<[^>]+>", "", number(*arguments)) == shown


def test_plots_take_the_page_s_colour_and_fonts():
    plot = histogram_plot(np.array([1.0, 2, 2, 3]), np.ones(4), 1, CLASSES[0], "µm", 2.0, (1.5, 2.5))
    assert "currentColor" in plot
    assert "DejaVu" not in plot
    assert "<b>" not in plot
    assert "&lt;b&gt;air" in plot
    assert len(plot) < 30_000
    assert histogram_plot(np.array([5.0]), np.ones(1), 1, "one", "px", 5.0, (None, None))


def test_command(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred")
    runner = CliRunner()
    arguments = ["report", str(tmp_path / "pred"), "--images", str(made / "images"), "--max-images", "1"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "pred" / "report.html").is_file()
    again = runner.invoke(app, arguments)
    assert again.exit_code == 1
    assert isinstance(again.exception, ReportError)


class Browser:
    """A headless Chromium, spoken to through a pipe (its DevTools protocol); ``errors`` are those of its console."""

    def __init__(self, program: str, profile: Path) -> None:
        command_out, self._to = os.pipe()
        self._from, answer_in = os.pipe()

        def wire() -> None:  # the browser reads commands from 3 and writes answers to 4
            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (command_out, answer_in)]
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            [program, *flags, "about:blank"],
            preexec_fn=wire,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_out)
        os.close(answer_in)
        self._rest, self._number, self._session = b"", 0, None
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict:
        """The answer to a command."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self, seconds: float = 120) -> dict:
        """The next message; events are noted."""
        while b"\0" not in self._rest:
            assert select.select([self._from], [], [], seconds)[0], "the browser does not answer"
            part = os.read(self._from, 1 << 16)
            assert part, "the browser has gone"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(line)
        method, content = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(content["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(content["args"]))
        elif method == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
            self.errors.append(content["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True
        return message

    def open(self, url: str) -> None:
        """Open a page of its own and wait for it."""
        self.call("Page.navigate", url="about:blank")
        self._loaded, self.errors[:], self.requests[:] = False, [], []
        self.call("Page.navigate", url=url)
        while not (self._loaded and self.evaluate("location.href + document.readyState") == url + "complete"):
            self._receive()

    def evaluate(self, script: str) -> object:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def close(self) -> None:
        """End this browser."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        os.close(self._to)
        os.close(self._from)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser for the tests of this file; they are skipped where none is installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"no browser on PATH ({', '.join(names)}): apt-get install chromium")
    made = Browser(program, tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


def test_browser_reports_errors_and_requests(browser, tmp_path):
    (tmp_path / "bad.html").write_text("<img src='http://127.0.0.1:9/x.png'><script>throw new Error('seen')</script>")
    browser.open(f"file://{tmp_path / 'bad.html'}")
    assert any("seen" in error for error in browser.errors)
    assert any(request.startswith("http:") for request in browser.requests)


def test_page_in_a_browser(browser, page, made):
    browser.open(f"file://{page}")
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith(("data:", "file:"))] == []
    text = browser.evaluate("document.body.innerText")
    summary = pd.read_csv(made / "pred" / "measured" / "summary.csv")
    for _, row in summary[summary["scope"] == "all"].iterrows():
        assert row["class_name"] in text
        for column, scale in (("mean_diameter_um", 1), ("median_diameter_um", 1), ("area_fraction", 100)):
            for name in (column, f"{column}_low", f"{column}_high"):
                assert re.sub(r"<[^>]+>", "", number(row[name], scale=scale)) in text, name
    assert "Dice" in text
    assert "0.812" in text
    pictures = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert browser.evaluate(pictures), "a picture does not decode"
    assert browser.evaluate("document.querySelectorAll('svg text').length") > 30
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


#: Names of the layers that show.
VISIBLE = """[...new Set([...document.querySelectorAll(".layer")]
    .filter((image) => getComputedStyle(image).display != "none").map((image) => image.alt.split(" ")[0]))]"""


def test_layers_are_toggled(browser, page):
    browser.open(f"file://{page}")
    assert browser.evaluate(VISIBLE) == ["instances"]
    place = "document.querySelector('.pictures').getBoundingClientRect().top + scrollY"
    at_first = browser.evaluate(place)
    for layer in ("detection", "separation", "segmentation", "probability"):
        browser.evaluate(f"document.querySelector('label[for=layer-{layer}]').click()")
        assert browser.evaluate(VISIBLE) == [layer]
        assert browser.evaluate("location.hash") == f"#layer={layer}&opacity=70"
    browser.evaluate("document.getElementById('layer-image').click()")
    assert browser.evaluate(VISIBLE) == []
    assert browser.evaluate(place) == at_first, "the pictures keep their place, so that an eye can compare"
    browser.evaluate("document.getElementById('layer-image').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    assert browser.evaluate(VISIBLE) == ["detection"]
    slider = "const s = document.getElementById('opacity'); s.value = 25; s.dispatchEvent(new Event('input'));"
    browser.evaluate(f"(() => {{ {slider} }})()")
    assert browser.evaluate("getComputedStyle(document.querySelector('.layer.detection')).opacity") == "0.25"
    assert browser.errors == []


def test_address_names_the_view(browser, page):
    browser.open(f"file://{page}#layer=separation&opacity=40")
    assert browser.evaluate(VISIBLE) == ["separation"]
    assert browser.evaluate("getComputedStyle(document.querySelector('.layer.separation')).opacity") == "0.4"
    browser.open(f"file://{page}#layer=nonsense&opacity=many")
    assert browser.evaluate(VISIBLE) == ["instances"]
    assert browser.errors == []


def test_dark_and_narrow(browser, page):
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    size = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    try:
        browser.open(f"file://{page}")
        ink, ground = (browser.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
        lightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, ground)]
        assert lightness[0] > 600
        assert lightness[1] < 120
        assert browser.evaluate("getComputedStyle(document.querySelector('svg text')).fill") == ink
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    finally:
        browser.call("Emulation.setEmulatedMedia", features=[])
        browser.call("Emulation.clearDeviceMetricsOverride")
