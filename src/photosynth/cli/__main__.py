"""`python -m photosynth.cli` is the `photosynth` command."""

from photosynth.cli import main

main()
