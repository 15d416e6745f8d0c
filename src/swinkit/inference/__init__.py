"""Prediction on files: batches, video windows and frames, tiles, and what is written.

Raw outputs are decoded by tasks.
"""
