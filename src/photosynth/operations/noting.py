"""The manifest of a running fleet: noted by whoever made or closed a part, from whichever thread."""

import contextlib
import threading
from dataclasses import replace

from photosynth.operations.manifest import Manifest, Seen, save_manifest, write_mark
from photosynth.operations.state import StateFolder
from photosynth.treasury.evidence.lines import EvidenceRecord


class KeptManifest:
    """What is known of the parts now. A full disk leaves older notes of how far they came, which are true as well."""

    def __init__(self, folder: StateFolder, manifest: Manifest) -> None:
        self._folder, self.now = folder, manifest
        self._turn = threading.Lock()

    def database_made(self) -> None:
        """Note that there is a database. Raises OSError."""
        with self._turn:
            if not self.now.complete:
                self._save(replace(self.now, complete=True))

    def node_made(self, node: str) -> None:
        """Note that an embedded node's folder is there, and whose it is. Raises OSError."""
        with self._turn:
            write_mark(self._folder.node(node), self.now)
            if not self.now.nodes[node].complete:
                self._save(self.now.with_node(node, complete=True))

    def site_made(self, site: str, began_ms: int) -> None:
        """Note that every part of a site is there, before anything of it is mined, counted or booked. Raises OSError."""
        with self._turn:
            part = self.now.sites[site]
            if part.began_ms is None or part.counting_anew:
                began_ms = began_ms if part.began_ms is None else part.began_ms
                self._save(self.now.with_site(site, began_ms=began_ms, counting_anew=False))

    def closed(self, site: str, record: EvidenceRecord, share_seq: int) -> None:
        """Note how far a closed quarter hour has brought a site's evidence and share log."""
        with self._turn, contextlib.suppress(OSError):
            before = self.now.sites[site].seen
            most = max(share_seq, 0 if before is None else before.share_seq)
            self._save(self.now.with_site(site, seen=Seen(record.id, record.root.hex(), most)))

    def _save(self, manifest: Manifest) -> None:
        self.now = manifest
        save_manifest(self._folder, manifest)
