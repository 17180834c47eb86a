"""Simulated networks: models of nodes in a child process, which the rest meets through the real nodes' API only."""
