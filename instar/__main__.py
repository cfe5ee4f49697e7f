"""``instar`` and ``python -m instar``: the command line, ended by Ctrl-C without a traceback from its first moment."""

from __future__ import annotations

import sys

__all__ = ["run"]


def run() -> None:
    """Run the command that was typed, and exit."""
    try:
        from instar.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
