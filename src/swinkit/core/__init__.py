"""Swin itself, for grids of any rank: windows, attention, kernels, blocks.

Imports torch, features and errors alone.
"""
