"""The live view on a terminal, through a pseudo-terminal."""

import pytest

from loadtest_trio.backends.embedded import RedisServer, S3Server
from tests.support.terminal import Terminal


@pytest.fixture
def environ(redis_server: RedisServer, s3_server: S3Server) -> dict[str, str]:
    """A quick run on the shared servers."""
    return {
        **s3_server.environment(),
        "REDIS_ENDPOINT": redis_server.url,
        "QUEUE_NAME": "terminal",
        "S3_BUCKET": "terminal",
        "S3_CREATE_BUCKET": "true",
        "LOG_INTERVAL_SECONDS": "0.5",
        "SCHEDULER_MESSAGES_PER_SECOND": "40",
        "PRECONDITION_MIN_OBJECTS": "20",
        "MIN_FILE_UUIDS": "10",
        "MAX_FILE_UUIDS": "20",
    }


@pytest.mark.parametrize("columns", [80, 160])
def test_the_live_view(environ: dict[str, str], columns: int) -> None:
    """A sentence, figures with their course, an address; Ctrl-C ends with a summary of one screen."""
    with Terminal("run", "--embedded", environ=environ, columns=columns) as terminal:
        terminal.wait_for(lambda lines: sum("● Steady: " in line for line in lines) > 3)
        drawn = terminal.lines
        assert max(map(len, drawn)) <= columns
        assert any("Nothing is wrong: all" in line for line in drawn)
        assert any("dashboard http://127.0.0.1:" in line for line in drawn)
        assert any("done" in line and "/s" in line and set("▂▃▄▅▆▇█") & set(line) for line in drawn)
        assert any("precondition met" in line for line in drawn)
        terminal.press(b"\x03")
        assert terminal.finish() == 0
        ended = terminal.lines
    assert max(map(len, ended)) <= columns
    last = ended[-24:]
    summary = [index for index, line in enumerate(last) if line.startswith("Stopped: received SIGINT.")]
    assert summary, last
    words = [" ".join(line.split()) for line in last[summary[-1] :]]
    assert any(line.startswith("created ") for line in words)
    assert "lost 0" in words
    assert "failed attempts 0" in words


def test_text_is_plain_lines(environ: dict[str, str]) -> None:
    """LOG_FORMAT=text draws nothing: lines of at most a hundred columns, whatever the terminal."""
    with Terminal("run", "--embedded", environ={**environ, "LOG_FORMAT": "text"}, columns=160) as terminal:
        terminal.wait_for(lambda lines: any(" INFO    steady " in line for line in lines))
        terminal.press(b"\x03")
        assert terminal.finish() == 0
        assert max(map(len, terminal.lines)) <= 100
        assert not any("●" in line for line in terminal.lines)
