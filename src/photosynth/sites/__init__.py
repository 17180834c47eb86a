"""One mining site in operation: its services of energy and mining, and their bookkeeping."""
