"""Alerts: who is told of which incident, in how few messages, and what becomes of those that do not arrive."""
