"""Many trainings: what is on now, what may go on from what, and series of several.

Not here: how one network is trained (training), what came of it (analysis).
"""
