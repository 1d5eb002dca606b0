"""Predicting pictures that are larger than the memory, tile by tile, with the answer of the whole picture (docs/large.md).

:mod:`~lazylabels_monai.predicting.large.predict` runs the stages that the other modules hold; zarr and dask, the optional extra
``large``, are imported there and in :mod:`~lazylabels_monai.predicting.large.store` alone, and late.
"""
