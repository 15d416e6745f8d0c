"""`python -m swinkit` is `swin`."""

from swinkit.cli.app import main

main()
