"""Encoders that are not Swin: CLIP's of text, and the vision transformer of the published OWL detectors."""
