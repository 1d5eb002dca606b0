"""The bundle and the overlays stand at the top of the repository, where MONAI looks for them, and go into the package when
it is installed, so that commands run in any folder. pyproject.toml has no way to say that; all else stands there."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lazylabels_monai*"]), "lazylabels_monai.bundle", "lazylabels_monai.configs"],
    package_dir={"lazylabels_monai.bundle": "bundle", "lazylabels_monai.configs": "configs"},
    include_package_data=False,  # weights that lie in bundle/models stay at home
    package_data={
        "lazylabels_monai.bundle": ["LICENSE", "configs/*", "docs/*", "models/.gitkeep"],
        "lazylabels_monai.configs": ["*.yaml"],
        "lazylabels_monai.starter": ["model.pt", "model.pt.sha256", "*.json", "README.md"],
        "lazylabels_monai.report": ["templates/*"],
        "lazylabels_monai.apps.monailabel": ["*.yaml"],
        "lazylabels_monai.apps.napari": ["napari.yaml"],
    },
)
