"""The `photosynth` command: everything that can be asked of a site, running or stopped."""


def main() -> None:
    """Entry point of the command; ends the process with a documented exit code."""
    from photosynth.cli.app import app

    app()
