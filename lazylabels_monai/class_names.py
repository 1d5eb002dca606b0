"""Names of object classes: those that a ``classes.json`` holds, and that no two classes share one."""

from __future__ import annotations

from collections.abc import Sequence

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["require_distinct"]


def require_distinct(names: Sequence[str]) -> None:
    """Refuse two classes of one name, of which tables by name would show one alone.

    Raises:
        LazyLabelsError: naming it.
    """
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise LazyLabelsError(
            f"two classes are called '{repeated[0]}', and classes of one name are not added up: give each a name of its own "
            "with --classes, or both one number in the class maps."
        )
