"""The simulated site: sun, factory, meters and machines, which the rest meets only over sockets, as it would real ones."""
