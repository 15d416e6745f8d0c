"""Heads see feature maps and FeatureSpec; they never learn what Swin is."""
