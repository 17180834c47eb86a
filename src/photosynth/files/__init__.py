"""Files on disk as every part of the house writes them: whole, durable, for this user alone, and never through a link."""
