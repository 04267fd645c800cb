"""The audit after a trial: four witnesses, and whether they agree.

    the history   what Redis did to each message, from its append-only file (see `aof_history`)
    the books     what the service counted, in the ledger
    the journal   which work was begun and done, written by the processes themselves
    the bucket    which objects there are, as botocore lists them

A message may be executed twice (at least once is what is promised); it must end once.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import attrs

from loadtest_trio.backends.redis import DeadLetter
from tests.support.aof_history import History

_PLACES = ("queue", "retry", "dead")


@attrs.frozen
class Audit:
    """Where every message ended, by Redis's own record, and whether the books and the bucket agree.

    Attributes:
        enqueued: Message ids that ever were on the queue.
        processed: As the books say.
        missed: As the books say.
        dead: On the dead list.
        lost: As the books say.
        executions: Pieces of work begun.
        duplicates: Of those, beyond the first of each delivery that was not put back on purpose.
        objects: In the bucket.
        unexpected: Objects that should not exist: a late request of a dead process brought them back.
        uncertain: Keys of which nothing can be said: their CREATE or DELETE is on the dead list.
        problems: Contradictions; none in a good run.
    """

    enqueued: int
    processed: int
    missed: int
    dead: int
    lost: int
    executions: int
    duplicates: int
    objects: int
    unexpected: int
    uncertain: int
    problems: list[str]

    @property
    def clean(self) -> bool:
        """Whether, after a drain, each message has ended once, and everybody agrees on what there is.

        A message that still waits somewhere has not ended: in the record of a consumer that nobody knows,
        for example, from which nobody would fetch it.
        """
        ended = self.processed + self.missed + self.dead
        return not (self.problems or self.lost or self.unexpected) and self.enqueued == ended


@attrs.frozen
class WorkDone:
    """The journal of the processes that worked.

    Attributes:
        begun: How often each message was begun.
        put_back: How often it ended with "later".
        done: What was done or found missing at least once.
    """

    begun: Counter[str]
    put_back: Counter[str]
    done: set[str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `killed_at` wrote."""
        begun: Counter[str] = Counter()
        put_back: Counter[str] = Counter()
        done: set[str] = set()
        for line in path.read_text().splitlines():
            what, identity = line.split(" ", 1)
            begun[identity] += what == "begin"
            put_back[identity] += what == "retry"
            if what in ("processed", "missed"):
                done.add(identity)
        return cls(begun, put_back, done)

    @property
    def duplicates(self) -> int:
        """Executions beyond the first of each delivery that was not put back on purpose."""
        return sum(max(0, times - 1 - self.put_back[identity]) for identity, times in self.begun.items())


def examine(
    history: History, books: Mapping[str, int], sizes: Mapping[str, int], work: WorkDone, keys: set[str]
) -> Audit:
    """Compare the witnesses; contradictions go into `Audit.problems`.

    Args:
        history: What Redis did.
        books: The counters of the ledger.
        sizes: Messages in each place now.
        work: What was executed.
        keys: What lies in the bucket.
    """
    problems = [
        *history.problems,
        *_not_replayed(history, books, sizes),
        *_unaccounted(history, books),
        *(
            f"settled as done, but nobody did it: {each.id}"
            for each in history.ended
            if each.id not in work.done
        ),
    ]
    unexpected, uncertain = judge_bucket(history, keys, problems)
    return Audit(
        enqueued=len(history.created),
        processed=books["processed"],
        missed=books["missed"],
        dead=len(history.dead),
        lost=books["lost"],
        executions=work.begun.total(),
        duplicates=work.duplicates,
        objects=len(keys),
        unexpected=len(unexpected),
        uncertain=len(uncertain),
        problems=problems,
    )


def _not_replayed(history: History, books: Mapping[str, int], sizes: Mapping[str, int]) -> Iterator[str]:
    """The replay must arrive where Redis is now, or it was not the whole history."""
    replayed = {**{place: len(getattr(history, place)) for place in _PLACES}, **history.counted}
    for name, number in {**books, **{place: sizes[place] for place in _PLACES}}.items():
        if number != replayed.get(name, 0):
            yield f"{name}: {number} in Redis, {replayed.get(name, 0)} replayed"


def _unaccounted(history: History, books: Mapping[str, int]) -> Iterator[str]:
    ended = Counter(each.id for each in history.ended)
    ended.update(history.dead_ids)
    waiting = {identity for identity, places in history.places.items() if places} - set(history.dead_ids)
    for identity in history.created:
        if ended[identity] + (identity in waiting) != 1:
            yield f"{identity} ended {ended[identity]} times"
    for identity in ended.keys() - history.created.keys():
        yield f"{identity} ended but was never enqueued"
    if books["created"] != len(history.created):
        yield f"{len(history.created)} ids were enqueued, {books['created']} are in the books"


def judge_bucket(history: History, keys: set[str], problems: list[str]) -> tuple[set[str], set[str]]:
    """Compare a bucket with the CREATEs and DELETEs that were settled, in their order.

    The order matters: a CREATE that was done but not settled is done again after its process died, by
    then perhaps after a DELETE of the same key (at least once). One process at a time settles the
    work on one key in the order in which it was done, so the last settlement says what must be there.

    Args:
        history: What happened.
        keys: What lies in the bucket.
        problems: Where a missing object is reported.

    Returns:
        Keys that lie there and should not, and keys of which nothing can be said.
    """
    exists: dict[str, bool] = {}
    for each in history.ended:
        if each.operation in ("CREATE", "DELETE"):
            exists[each.key] = each.operation == "CREATE"
    letters = (json.loads(DeadLetter.parse(record).element) for record in history.dead)
    uncertain = {letter["key"] for letter in letters if letter["operation"] in ("CREATE", "DELETE")}
    expected = {key for key, there in exists.items() if there}
    missing = expected - keys - uncertain
    if missing:
        problems.append(f"objects are missing: {sorted(missing)[:5]}")
    return keys - expected - uncertain, uncertain
