"""`python -m photosynth` is the `photosynth` command."""

from photosynth.cli import main

main()
