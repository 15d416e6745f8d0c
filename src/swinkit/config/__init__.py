"""Options of the commands as pydantic schemas, preprocessing and augmentation.

Imports no torch and reads no data.
"""
