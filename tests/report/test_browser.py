"""The page in a real browser."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import make_report
from lazylabels_monai.report.numbers import number
from tests.report.predicted import SHAPE


def test_scale_bar_has_the_length_that_it_says(page):
    percent, length = re.search(r'class="bar" style="width: ([\d.]+)%">(\d+) µm', page.read_text()).groups()
    assert float(percent) / 100 * SHAPE[1] * 0.5 == pytest.approx(float(length), rel=1e-3)


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


#: Names of images and classes that would run where a page took them for its own text; a file's name holds no slash.
HOSTILE = (
    "<script>RUN=1",
    "<img src=x onerror=RUN=1>",
    "\"'><svg onload=RUN=1>",
    "'-RUN=1-'",
    "{{ RUN }}",
    "javascript:RUN=1",
    "line\nbreak\r<body onload=RUN=1>",
    "&lt;script&gt;RUN=1",
    "\u202egnp.exe",
    "]]><script>RUN=1",
    "--><script>RUN=1",
)


def test_names_are_never_run(browser, tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "pred").mkdir()
    for place, name in enumerate(HOSTILE):
        classes = np.zeros((24, 30), np.uint8)
        classes[4:12, 5:15] = 1 + place % 2
        Image.fromarray(random.integers(0, 255, classes.shape, np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(classes).save(tmp_path / "pred" / f"{name}_pred.png")
        tifffile.imwrite(tmp_path / "pred" / f"{name}_instances.tif", (classes > 0).astype(np.uint16))
    measured = {"images": tmp_path / "images", "pixel_size": "1um", "resamples": 100}
    names = ["<script>RUN=1</script>", "</title>$x"]
    measure_folder(tmp_path / "pred", tmp_path / "pred" / "measured", classes=names, **measured)
    page = make_report(tmp_path / "pred", images=tmp_path / "images", command="predict '<script>RUN=1</script>'")
    browser.open(f"file://{page}")
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith(("data:", "file:"))] == []
    assert browser.evaluate("typeof RUN") == "undefined"
    assert browser.evaluate("document.scripts.length") == 1
    handlers = "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length"
    assert browser.evaluate(handlers) == 0
    text = browser.evaluate("document.body.textContent")
    for name in (*HOSTILE[:2], "<script>RUN=1</script>"):
        assert name in text


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
