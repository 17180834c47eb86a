"""Incidents: conditions with a life, an identity that survives restarts, and somebody who has taken them on."""
