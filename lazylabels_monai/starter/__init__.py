"""The starter: weights that come with the package, from which a training begins instead of from nothing.

``python -m lazylabels_monai.starter`` makes them anew: ``pack`` gathers the pictures, ``make`` trains on them (on a GPU in
minutes), ``install`` puts the result here with its card, ``score`` says what they do without training. Users need none of it.
"""
