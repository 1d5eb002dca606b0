"""Predicting with a trained network: one model, folders of images, uncertainty."""
