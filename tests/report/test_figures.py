"""Plots of the page."""

from __future__ import annotations

import numpy as np

from lazylabels_monai.report.figures import histogram_plot
from tests.report.predicted import CLASSES


def test_plots_take_the_page_s_colour_and_fonts():
    plot = histogram_plot(np.array([1.0, 2, 2, 3]), np.ones(4), 1, CLASSES[0], "µm", 2.0, (1.5, 2.5))
    assert "currentColor" in plot
    assert "DejaVu" not in plot
    assert "<b>" not in plot
    assert "&lt;b&gt;air" in plot
    assert len(plot) < 30_000
    assert histogram_plot(np.array([5.0]), np.ones(1), 1, "one", "px", 5.0, (None, None))
