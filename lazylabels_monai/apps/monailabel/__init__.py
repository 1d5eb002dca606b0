"""MONAI Label: a model, a datastore tag and a strategy for each of the three tasks; ``docs/monai-label.md``.

``folder``, ``options``, ``publish``, ``replaced`` and ``store`` run in any environment; the other modules need that of
``requirements-monailabel.txt``.
"""
