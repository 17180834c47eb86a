"""Mining machines: what a model can do, how one is spoken to, and how many are brought to the watts they shall draw.

A new make is a module beside ``luxos`` whose driver ``driver.MACHINES`` names.
"""
