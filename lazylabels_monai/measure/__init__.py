"""Measurements: one row per object, statistics with intervals per image and per data set, pixel sizes from files.

Every column is defined in docs/measurements.md.
"""

from lazylabels_monai.images.pixel_size import PixelSizeError, agreed_pixel_size, parse_pixel_size, read_pixel_size
from lazylabels_monai.measure.image import ImageMeasurements, MeasureError, measure_image, measure_objects, unit_name
from lazylabels_monai.measure.statistics import STATISTICS, measurement_error, summarize, summary_dict

__all__ = [
    "STATISTICS",
    "ImageMeasurements",
    "MeasureError",
    "PixelSizeError",
    "agreed_pixel_size",
    "measure_image",
    "measure_objects",
    "measurement_error",
    "parse_pixel_size",
    "read_pixel_size",
    "summarize",
    "summary_dict",
    "unit_name",
]
