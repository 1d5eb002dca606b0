"""The section of `bench window` in miniature: that it is Markdown for its page, with each target, whatever the times are."""

from __future__ import annotations

import re

from lazylabels_monai.bench.window import section


def test_section_counts_windows_and_compares_with_monai():
    text = section(1, channels=(2, 3), window=32, image=(64, 80))
    rows = dict(re.findall(r"^\| ([^|]+) \| (\d+) \| \d+\.\d{3} \|", text, re.MULTILINE))
    assert rows["MONAI's inferer, PyTorch's own layers"] == rows["three tasks"] == rows["segmentation alone"] == "12"
    assert rows["three tasks, overlap 0.25"] == "9"
    assert "twice MONAI's inferer around the plain network" in text
    assert "threads" in text.splitlines()[-1]
