"""The console: web pages over a fleet's documents. Importing it loads NiceGUI, so import it when the server starts."""

from photosynth.console.mounting import mount

__all__ = ["mount"]
