"""Objects for other programs: ROI sets for ImageJ and Fiji, GeoJSON for QuPath, COCO. See docs/export.md."""

from __future__ import annotations

from lazylabels_monai.exporting.folder import ExportReport, export_objects
from lazylabels_monai.exporting.formats import FORMATS

__all__ = ["FORMATS", "ExportReport", "export_objects"]
