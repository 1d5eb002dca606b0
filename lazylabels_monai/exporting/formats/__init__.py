"""The formats in which objects are exported, a module each. A new one is a :class:`Writer` in :data:`FORMATS`."""

from __future__ import annotations

from lazylabels_monai.exporting.formats.coco import CocoFile
from lazylabels_monai.exporting.formats.geojson import GeoJsonFiles
from lazylabels_monai.exporting.formats.roi import RoiSets
from lazylabels_monai.exporting.formats.writer import Writer

__all__ = ["FORMATS", "Writer"]

#: Writers by what ``--format`` calls them.
FORMATS: dict[str, type[Writer]] = {"roi": RoiSets, "geojson": GeoJsonFiles, "coco": CocoFile}
