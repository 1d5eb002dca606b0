"""The report: one HTML file that shows what a prediction, an evaluation and a training gave; see docs/report.md.

:func:`make_report` collects (``sources``), draws (``figures``, ``gallery``) and writes (``page``, ``templates/``).
"""

from lazylabels_monai.report.page import REPORT_NAME, make_report
from lazylabels_monai.report.reading import ReportError

__all__ = ["REPORT_NAME", "ReportError", "make_report"]
