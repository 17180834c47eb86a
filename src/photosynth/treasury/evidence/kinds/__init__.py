"""One verifier for each kind of line."""
