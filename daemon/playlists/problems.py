"""Why there is no list."""


class Abstained(Exception):
    """There is nothing to put on the list that could be stood by; the message says why."""
