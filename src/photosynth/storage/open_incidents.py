"""How many incidents a stopped system left open, for whoever asks in plain SQL."""

OPEN_NOW = "SELECT count(*) FROM incidents WHERE state = 'open'"
