"""The `photosynth` command: everything that can be asked of a site, running or stopped."""

import os


def main() -> None:
    """Entry point of the command; ends the process with a documented exit code."""
    # pydantic would look through every installed package for plugins; this program has none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    from photosynth.cli.app import app

    app()
