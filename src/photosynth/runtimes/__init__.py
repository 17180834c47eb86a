"""How a recipe becomes a running workload: as a child process."""
