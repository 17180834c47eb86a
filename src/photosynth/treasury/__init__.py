"""The books of a site: a balanced journal, coinbases followed through the chain, energy per quarter hour, and the proof of it."""
