"""The proof: one signed record per quarter hour, each hashed with the one before, and a verifier that needs no database."""
