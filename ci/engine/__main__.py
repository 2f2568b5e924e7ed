"""`python -m ci.engine session`: what `_EXPERIMENTAL_DAGGER_CLI_BIN` can name through a script of one line."""

from __future__ import annotations

import os
import sys

from ci.engine.protocol.session_process import run_session


def main() -> None:
    """Run the one command there is."""
    if sys.argv[1:2] != ["session"]:
        sys.stderr.write("usage: python -m ci.engine session [--workdir FOLDER] [--mirror REGISTRY=LOCATION]\n")
        raise SystemExit(2)
    status = run_session(sys.argv[2:])
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread may still wait for standard input; nothing is left for it to do.
    os._exit(status)


if __name__ == "__main__":
    main()
