"""Draw, train, see, correct in one sitting: what a window needs, without the window (:mod:`lazylabels_monai.apps.napari`)."""
