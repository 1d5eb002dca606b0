"""Checking a data set before hours of training: what a careful colleague would point out.

:mod:`~.items` reads the files, :mod:`~.whole` judges the data set as a whole, :mod:`~.images` and :mod:`~.marks` what the
images show and what is drawn on them, :mod:`~.findings` says it. Nothing here imports MONAI, which takes seconds.
"""

from __future__ import annotations

from lazylabels_monai.data.checking.check import check_datalist
from lazylabels_monai.data.checking.findings import CODES, CheckReport, Finding

__all__ = ["CODES", "CheckReport", "Finding", "check_datalist"]
