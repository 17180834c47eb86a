"""One package per network, each by the same grammar of files, so that a network is added by copying a folder.

Copy ``bitcoin`` and write each file anew; a file that a network has no use for is left out, and its README says why.

``README.md``  what is operated, what the operator has to give, and which software it was tested against
``recipe.py``  how its software is run: a :class:`~photosynth.networks.grammar.Recipe`, every flag with its reason
``probe.py``   ``async probe(rpc, now_ms)``: what a running node says of itself; never raises, and what is not told is UNKNOWN
``rpc.py``     how it is spoken to: credentials from files, time-outs, bounded answers, errors that say what to do
``node.py``    the driver behind the protocol by which the rest of the system knows the network, where there is one
``duties.py``  what the network expects of a node at a time; a Bitcoin node owes nothing, so ``bitcoin`` has none
``income.py``  what it pays for that, page by page (``network.py`` says how the books write it); a Bitcoin node earns by mining,
               which ``pool`` and ``treasury`` know
"""
