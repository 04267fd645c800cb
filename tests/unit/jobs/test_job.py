"""Jobs: ids, views, names and elements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.errors import JobRejectedError
from loadtest_trio.jobs.job import LARGEST_NUMERIC_ID, Job, Status, new_id, new_numeric_id
from loadtest_trio.jobs.message import Message, decode, job_id
from loadtest_trio.jobs.store import NewJob, check_names, is_name

payloads = st.dictionaries(
    st.text(max_size=5), st.integers(-(2**53), 2**53) | st.text(max_size=5), max_size=3
)


def test_ids_are_unique_and_short() -> None:
    """Random ids differ; a numeric id is exact in JavaScript."""
    assert len({new_id() for _ in range(1000)}) == 1000
    assert all(is_name(new_id()) and len(new_id()) == 20 for _ in range(10))
    assert all(0 < int(new_numeric_id()) <= LARGEST_NUMERIC_ID for _ in range(1000))


def test_three_statuses_are_final() -> None:
    """Succeeded, dead and cancelled are final."""
    assert [each.value for each in Status if each.ended] == ["succeeded", "dead", "cancelled"]


def test_view_has_all_fields() -> None:
    """Absent values are null, and the result is not part of the view."""
    job = Job("1", "sleep", "c", Status.QUEUED, True, 5.0)
    assert job.view() == {
        "id": "1", "type": "sleep", "clientId": "c", "status": "queued", "ordered": True, "attempts": 0,
        "submittedAt": 5.0, "startedAt": None, "endedAt": None, "nextAttemptAt": None, "error": None,
    }  # fmt: skip


def test_version_changes_with_every_status() -> None:
    """Each status in a job's life has a different entity tag."""
    life = [
        Job("1", "t", "c", Status.QUEUED, True, 1.0),
        Job("1", "t", "c", Status.RUNNING, True, 1.0, 2.0, attempts=1),
        Job("1", "t", "c", Status.RETRYING, True, 1.0, 2.0, due_at=4.0, attempts=1),
        Job("1", "t", "c", Status.RUNNING, True, 1.0, 4.0, attempts=2),
        Job("1", "t", "c", Status.SUCCEEDED, True, 1.0, 4.0, 5.0, attempts=2),
    ]
    assert len({each.version for each in life}) == len(life)


@given(st.from_regex(r"[!-~]{1,128}", fullmatch=True))
def test_printable_ascii_is_a_name(name: str) -> None:
    """Addresses, e-mail addresses and paths can be client names."""
    check_names(NewJob("sleep", {}, name, idempotency_key=name))


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "\x7f", "é", "x" * 129])
def test_other_text_is_not_a_name(name: str) -> None:
    """Text that could break a record or a header is refused."""
    for job in (NewJob("sleep", {}, name), NewJob(name, {}, "c"), NewJob("sleep", {}, "c", id=name)):
        with pytest.raises(JobRejectedError, match="printable ASCII"):
            check_names(job)


@given(payloads)
def test_element_is_the_message(payload: dict[str, int | str]) -> None:
    """A job's queue element is a message with the job's id, also after it is put back."""
    new = NewJob("sleep", payload, "c", key="k")
    message = decode(new.element(7.5))
    assert message == Message(new.id, "sleep", "k", created_at=7.5, params=payload, job=True, client="c")
    again = message.put_back(retries=1, attempts=1).encode()
    assert job_id(new.element(7.5)) == job_id(again) == new.id
    assert decode(again).retries == 1


@pytest.mark.parametrize(
    "text", [b"", b"{}", b'{"id":"1"}', b'{"job":true}', b'{"j', b"xxj", b'{"job":true,"id":""', b" " * 9]
)
def test_other_elements_have_no_job_id(text: bytes) -> None:
    """Only elements with the prefix of our jobs have a job id."""
    assert job_id(text) == ""


def test_fingerprint_identifies_equal_work() -> None:
    """Equal work has the same fingerprint, regardless of the order of its payload."""
    one = NewJob("sleep", {"a": 1, "b": 2}, "c")
    assert one.fingerprint() == NewJob("sleep", {"b": 2, "a": 1}, "d").fingerprint()
    others = [
        NewJob("sha512", one.payload, "c"),
        NewJob("sleep", {"a": 1}, "c"),
        NewJob("sleep", one.payload, "c", key="k"),
    ]
    assert one.fingerprint() not in {each.fingerprint() for each in others}
