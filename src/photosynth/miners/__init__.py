"""Mining machines: what a model can do, how one is spoken to, and how many are brought to the watts they shall draw."""
