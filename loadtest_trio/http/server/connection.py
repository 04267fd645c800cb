"""One client's connection: requests in, answers out, in order, all in one task.

There is no task, no cancel scope and no queue for a request. The application runs in the task of its
connection. A wait for the client writes down its deadline, and the server's watch, one task for all
connections, wakes those whose deadline has passed:

    wait for bytes ──► head ──► parse ──► await app(scope, receive, send) ──► again, or close
     idle_seconds   head_seconds             receive: body_seconds
                                             send: write_seconds

Invariants: after a request, the channel's buffer holds bytes of later requests only; a connection whose
request was not read to its end, or whose answer was not written to its end, is not used again.
"""

import trio

from loadtest_trio.http.server.app_errors import ClientDisconnectedError
from loadtest_trio.http.server.channel import Channel, SlowClientError
from loadtest_trio.http.server.exchange import Exchange
from loadtest_trio.http.server.refusal import RefusedError, problem
from loadtest_trio.http.server.request import HEAD_END, check_partial_head, parse_head
from loadtest_trio.http.server.response import whole_response
from loadtest_trio.http.server.shared import NEVER


async def serve(channel: Channel) -> None:
    """Serve a client until it leaves, breaks the rules or is too slow, or until the server drains.

    Args:
        channel: Closed at the end.
    """
    try:
        try:
            await _serve_requests(channel)
        except RefusedError as refusal:
            messages = problem(refusal.status, refusal.reason)
            await channel.send(whole_response(messages, channel.shared.date))
            await channel.linger()
    except (ClientDisconnectedError, SlowClientError):
        pass
    finally:
        channel.close()


async def _serve_requests(channel: Channel) -> None:
    limits = channel.shared.limits
    while True:
        if channel.buffer:
            await trio.lowlevel.checkpoint()  # a client that sends many requests at once leaves others a turn
        elif not await channel.wait_for_request():
            return
        size = channel.buffer.find(HEAD_END) + len(HEAD_END)
        if size < len(HEAD_END):
            size = await _receive_head(channel)
        if size > limits.head_bytes:
            raise RefusedError(431, f"the head is longer than {limits.head_bytes} bytes")
        request = parse_head(channel.buffer[:size], limits)
        channel.buffer = channel.buffer[size:]
        channel.used = True
        exchange = Exchange(channel, request)
        if not await exchange.run():
            if not channel.broken and (channel.buffer or not exchange.request_has_arrived):
                await channel.linger()
            return


async def _receive_head(channel: Channel) -> int:
    """Receive the rest of a head that has begun; return its size, or how much of it is too much."""
    limits = channel.shared.limits
    channel.read_deadline = channel.shared.soon + limits.head_seconds
    while (end := channel.buffer.find(HEAD_END)) < 0:
        if len(channel.buffer) > limits.head_bytes:
            return len(channel.buffer)
        check_partial_head(channel.buffer)
        try:
            await channel.receive()
        except SlowClientError:
            raise RefusedError(408, f"the head took longer than {limits.head_seconds} s") from None
    channel.read_deadline = NEVER
    return end + len(HEAD_END)
