"""The HTTP API: a fleet's documents with OpenAPI, audited writes, and streams of the chain and of the evidence."""

from photosynth.api.app import create_app
from photosynth.api.chain_port import ChainPort
from photosynth.api.evidence_port import EvidencePort
from photosynth.api.server import PortInUseError, WebServer, listen

__all__ = ["ChainPort", "EvidencePort", "PortInUseError", "WebServer", "create_app", "listen"]
