"""Many blocks handed to a node ahead of its verdicts, so that it takes them in as groups."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from photosynth.bitcoin.node import Verdict
from photosynth.bitcoin_node.node import GROUP_BYTES, MOST_IN_GROUP, EmbeddedNode


async def submit_all(node: EmbeddedNode, blocks: AsyncIterator[bytes]) -> AsyncIterator[Verdict]:
    """The node's verdicts on blocks, in their order; while a group is taken in, the next one is handed over.

    Raises what :meth:`EmbeddedNode.submit_block` raises; blocks after that one that were handed over already may count.
    """
    ahead: deque[tuple[int, asyncio.Task[Verdict]]] = deque()
    size = 0
    try:
        async for raw in blocks:
            ahead.append((len(raw), asyncio.create_task(node.submit_block(raw))))
            size += len(raw)
            await asyncio.sleep(0)  # lets it be handed over now
            while len(ahead) > 2 * MOST_IN_GROUP or (size > 2 * GROUP_BYTES and len(ahead) > 1):
                length, verdict = ahead.popleft()
                size -= length
                yield await verdict
        while ahead:
            yield await ahead.popleft()[1]
    finally:
        for _, verdict in ahead:
            verdict.cancel()
        await asyncio.gather(*(verdict for _, verdict in ahead), return_exceptions=True)
