"""A guest's miner: one thread, one connection, honest hashing, and a count of the shares that were answered true."""

import socket
import threading

from photosynth.bitcoin.wire import double_sha256
from photosynth.stratum.client import StratumClient, SubmitResult
from photosynth.stratum.work import Job

BATCH = 2000


class Guest:
    """Mines under one name until :meth:`stop`; a cut connection ends it, and what was answered stays counted."""

    def __init__(self, host: str, port: int, worker: str = "guest") -> None:
        self.submitted = self.accepted = 0
        self.name = worker
        self.refused: list[str] = []
        self._client = StratumClient(worker, version_mask=0)
        self._address = (host, port)
        self._end = threading.Event()
        self.first_accepted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guest", daemon=True)

    def start(self) -> "Guest":
        """Connect and mine."""
        self._thread.start()
        return self

    def wait(self, seconds: float) -> None:
        """Go on mining for so long, or until the connection ends."""
        self._thread.join(seconds)

    def stop(self) -> None:
        """Hang up."""
        self._end.set()
        self._thread.join(10)

    def _run(self) -> None:
        try:
            with socket.create_connection(self._address, timeout=10) as connection:
                connection.sendall(self._client.start())
                self._mine(connection)
        except OSError:
            return  # the site was killed: that is what some tests are for

    def _mine(self, connection: socket.socket) -> None:
        job: Job | None = None
        prefix, nonce = b"", 0
        connection.settimeout(0.001)
        while not self._end.is_set():
            self._listen(connection)
            if self._client.job is None or not self._client.authorized:
                continue
            if self._client.job is not job:
                job, nonce = self._client.job, 0
                prefix = job.header_prefix(bytes(job.extranonce2_size))
            target = job.target
            for number in range(nonce, nonce + BATCH):
                if int.from_bytes(double_sha256(prefix + number.to_bytes(4, "little")), "little") <= target:
                    self.submitted += 1
                    connection.sendall(self._client.submit(job, bytes(job.extranonce2_size), job.time_s, number))
            nonce += BATCH

    def _listen(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except TimeoutError:
            return
        if not data:
            raise ConnectionResetError
        for event in self._client.receive(data):
            if isinstance(event, SubmitResult):
                if event.accepted:
                    self.accepted += 1
                    self.first_accepted.set()
                else:
                    self.refused.append(event.message)
