"""The bundle as a MONAI Deploy app: a folder of images in, what ``inference.yaml`` writes out.

:mod:`~lazylabels_monai.apps.deploy.staging` puts the app and a trained model into the layout of a MONAI Application
Package, :mod:`~lazylabels_monai.apps.deploy.app` is the app, :mod:`~lazylabels_monai.apps.deploy.operators` has its parts.
Nothing is imported here: CUDA's runtime has to be found first (:mod:`~lazylabels_monai.apps.deploy.cuda`).
"""
