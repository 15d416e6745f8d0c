"""Checkpoints of every dialect: read, identified, converted, written, downloaded.

Models are built in models.
"""
