"""One package per network, each by the same grammar of files, so that a network is added by copying a folder.

``recipe.py`` how its software is run; ``probe.py`` what a running node says of itself, as observations; ``rpc.py`` and
``node.py`` how it is spoken to; ``README.md`` what was tested and against which software.
"""
