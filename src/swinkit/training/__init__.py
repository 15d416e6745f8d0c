"""Training runs on Lightning: initial model, loop, run folder, faults, processes.

Losses and metrics belong to tasks.
"""
