"""How good a training is: results of an evaluation, scores of other programs' maps, settings picked on validation images."""

from __future__ import annotations

from lazylabels_monai.evaluation.results import ResultsWriter

__all__ = ["ResultsWriter"]
