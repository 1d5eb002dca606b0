"""From folders of images and what people drew on them to a data set: label maps and ``datalist.json``."""

from __future__ import annotations

from lazylabels_monai.data.building.build import build_datalist
from lazylabels_monai.data.building.options import BuildError, BuildOptions, parse_keyed, parse_names
from lazylabels_monai.data.building.summary import BuildSummary, format_build

__all__ = ["BuildError", "BuildOptions", "BuildSummary", "build_datalist", "format_build", "parse_keyed", "parse_names"]
