"""A window in napari: draw, train, see, correct, measure; ``docs/napari.md``.

Widgets over :mod:`lazylabels_monai.interactive`, which does the work and knows no window. Only ``coding`` and ``clock`` run
without napari; the other modules need ``requirements-napari.txt`` (the extra ``napari``).
"""
