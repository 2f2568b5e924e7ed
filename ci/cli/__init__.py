"""The command `lr-ci`: the pipeline on a laptop, on a runner and in a debugger."""

from ci.cli.app import main

__all__ = ["main"]
