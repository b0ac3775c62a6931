"""Many trainings: what is on now, which runs may be continued or forked, and series of several.

Not here: how one network is trained (training), what came of it (analysis).
"""
