"""``python -m graphfix``."""

from graphfix.cli import main

main()
