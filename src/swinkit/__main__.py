"""`python -m swinkit` is `swin`."""

from swinkit.cli import main

main()
