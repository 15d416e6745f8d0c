"""Training and evaluation. Knows tasks only through `tasks/base.py`."""
