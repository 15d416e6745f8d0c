"""Data sets: found, read, checked, split, transformed, batched; one folder per kind of data.

Knows no model.
"""
