"""The command `swin`: each module parses one group of commands, calls `swinkit.api` and prints.

No task knowledge, no file formats.
"""
