"""`python -m asyncmr` is the `asyncmr` command."""

import sys

from asyncmr.cli import main

if __name__ == "__main__":
    sys.exit(main())
