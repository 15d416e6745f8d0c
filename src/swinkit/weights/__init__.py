"""Weights files: foreign names and shapes stop here."""
