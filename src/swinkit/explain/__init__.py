"""Figures that show how a model works: architecture and attention windows.

Drawing primitives are in visualize.
"""
