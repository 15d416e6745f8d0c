"""The seam between a backbone and everything else: one module or folder per task."""
