"""Control: what is on now: start, pause, resume, fork, steer."""

COMMANDS = ("pause", "resume", "stop")


class NotReady(Exception):
    """Training cannot start yet, or not at all; the message says why."""


class Conflict(Exception):
    """The state of the comparison forbids what was asked."""
