"""The section of `bench tasks` in miniature: that it is Markdown for its page, with each target, whatever the times are."""

from __future__ import annotations

import re

import pytest

from lazylabels_monai.bench import tasks, window
from lazylabels_monai.bench.tasks import LIGHTER, section


def test_section_has_a_row_for_each_network_and_target():
    text = section(1, channels=(2, 3, 4, 5, 6), crop=32)
    for name in ("three tasks", "segmentation alone", "segmentation and separation", "one U-Net (MONAI's BasicUNet)"):
        assert re.search(rf"^\| {re.escape(name)} \| \d\.\d{{3}} \| \d+\.\d\d \(", text, re.MULTILINE), name
    assert re.search(r"^\| a lighter network at most 1\.6 x one U-Net \| \d", text, re.MULTILINE)
    assert len(re.findall(r"^\| (segmentation alone at most|prediction|training step|bfloat16) ", text, re.MULTILINE)) == 6
    for name in LIGHTER:
        assert re.search(
            rf"^\| {re.escape(name)} \| \d\.\d\d( \| \d\.\d{{3}} \| \d+\.\d\d \([^|]*){{2}} \|$", text, re.MULTILINE
        ), name
    assert re.search(r"^\| 2 of 32 x 32 \| \d\.\d{3} \| \d\.\d{3} \| \d+\.\d\d \([^|]* \|$", text, re.MULTILINE)
    assert "`aten::mkldnn_convolution`" in text or "convolution" in text
    assert "threads" in text.splitlines()[-1]
    assert "nan" not in text


@pytest.mark.parametrize("bfloat16", [True, False])
def test_bfloat16_has_rows_where_the_bundle_takes_it(monkeypatch, bfloat16):
    monkeypatch.setattr(tasks, "use_bfloat16", lambda setting, device: bfloat16)
    monkeypatch.setattr(window, "use_bfloat16", lambda setting, device: bfloat16)
    text = section(1, channels=(2, 3, 4, 5, 6), crop=32) + window.section(1, channels=(2, 3, 4), window=16, image=(24, 24))
    for name, rows in ((tasks.REDUCED, 2), (tasks.REDUCED_UNET, 1), (window.REDUCED_PART, 1)):
        assert len(re.findall(rf"^\| {re.escape(name)} \| \d", text, re.MULTILINE)) == rows * bfloat16
