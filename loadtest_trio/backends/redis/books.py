"""The books of the queue as remembered here, to notice when Redis itself has forgotten something.

Every script replies with the books as they stood when it ran. Each life of the server has an epoch of
its own, so another epoch than the one remembered says that the server was away and may have come back
with less. Replies may be handled out of order (several threads): it is only a suspicion, and repair.lua
compares with the books of the moment and decides.
"""

from loadtest_trio.jobs.ledger import Books


class LossWatch:
    """Remembers the latest books seen.

    Attributes:
        remembered: The latest books, or None before the first reply.
        suspicious: Whether books of another epoch were seen since.
    """

    def __init__(self) -> None:
        self.remembered: Books | None = None
        self.suspicious = False

    def saw(self, reply: list[bytes | None]) -> None:
        """Compare the books of one reply with those remembered."""
        books = Books.parse(reply)
        known = self.remembered
        if known is None:
            self.remembered = books
        elif books.epoch != known.epoch:
            self.suspicious = True
        elif books.newer_than(known):
            self.remembered = books

    def repaired(self, reply: list[bytes | None]) -> None:
        """Take over the books as they stand after repair.lua."""
        self.remembered = Books.parse(reply)
        self.suspicious = False
