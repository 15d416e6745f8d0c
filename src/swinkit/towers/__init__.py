"""Encoders that are not Swin: text towers and vision transformers."""
