"""Refusals: why what was asked for cannot be done now."""


class NotReady(Exception):
    """Training cannot start yet, or not at all; the message says why."""


class Conflict(Exception):
    """The state of the comparison forbids what was asked."""
