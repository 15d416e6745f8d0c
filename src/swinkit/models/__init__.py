"""Variants, and models located, built, converted and saved.

Layers are in core, heads and towers; foreign checkpoints in weights.
"""
