"""Pixel classification by a random forest on filter responses, the way of ilastik."""
