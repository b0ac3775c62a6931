"""Training one network: what a trainer stands on.

Not here: the training loop (train.py), the network (model.py), files and SQL (history).
"""
