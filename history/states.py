"""States: what a training can be in, what may follow what, and in which order they count."""

LEGAL_MOVES: dict[str, frozenset[str]] = {
    "idle": frozenset({"running"}),
    "running": frozenset({"paused", "finished", "stopped", "failed"}),
    "paused": frozenset({"running", "finished", "stopped", "failed"}),
    "finished": frozenset(),
    "stopped": frozenset(),
    "failed": frozenset(),
}
ACTIVE_STATES = frozenset({"running", "paused"})
UNENDED_STATES = frozenset(state for state, moves in LEGAL_MOVES.items() if moves)
INTERRUPTED = "interrupted"  # only on disk: its process died before the training had ended
SEVERITY = ("running", "paused", "failed", INTERRUPTED, "stopped", "finished", "idle")  # what several models are in
LEAST_COMPLETE = ("stopped", INTERRUPTED, "failed", "finished")  # of a pair that is off: what can go on comes first
INTENDED_ENDS = frozenset({"finished", "stopped"})


class IllegalTransition(Exception):
    """A trainer was asked for a move that its state does not admit."""

    def __init__(self, trainer: str, state: str, wanted: str, source: str | None = None) -> None:
        sources = source or " or ".join(source for source, moves in LEGAL_MOVES.items() if wanted in moves)
        super().__init__(f"{trainer} is {state} and cannot become {wanted}: only one that is {sources} can")
