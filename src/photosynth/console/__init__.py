"""The console: web pages over a site's documents. Importing it loads NiceGUI, so import it when the server starts."""

from photosynth.console.mounting import mount

__all__ = ["mount"]
