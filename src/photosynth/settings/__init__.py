"""What may be written in a fleet file: strict parts, quantities with their units, and values of other kinds."""
