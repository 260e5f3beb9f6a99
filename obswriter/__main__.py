"""``python -m obswriter`` is the ``obswriter`` command."""

import sys

from obswriter.cli import main

if __name__ == "__main__":
    sys.exit(main())
