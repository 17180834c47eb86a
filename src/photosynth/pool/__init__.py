"""The mining pool: a Stratum server on a node of one's own, whose every accepted share is durable and accounted."""
