"""Images with masks and what the values of masks mean."""
