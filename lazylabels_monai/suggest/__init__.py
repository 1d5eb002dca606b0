"""Which label to draw next: the most uncertainty resolved per second of work."""

from __future__ import annotations

from lazylabels_monai.suggest.pool import PoolImage, find_pool
from lazylabels_monai.suggest.ranking import MEASURES, Candidate, Suggestion, Suggestions, rank
from lazylabels_monai.suggest.suggesting import expected_work, suggest
from lazylabels_monai.suggest.writing import check_pictures, format_suggestions, uncertainty_pictures, write_suggestions

__all__ = [
    "MEASURES",
    "Candidate",
    "PoolImage",
    "Suggestion",
    "Suggestions",
    "check_pictures",
    "expected_work",
    "find_pool",
    "format_suggestions",
    "rank",
    "suggest",
    "uncertainty_pictures",
    "write_suggestions",
]
