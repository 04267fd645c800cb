"""The computations are exact."""

import hashlib
import math
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.handlers.compute.kernels import factorial_digits, sha512_chain

ABC = (
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
)
"""SHA-512 of "abc": FIPS 180-4, example values of NIST's CSRC."""


@pytest.fixture
def any_number_of_digits() -> Iterator[None]:
    """Let `int` print numbers of any length, to compare with."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.usefixtures("any_number_of_digits")
@pytest.mark.parametrize("n", [*range(70), 100, 999, 1000, 1001, 1024, 4097, 20_000])
def test_factorial_is_exact(n: int) -> None:
    """Every digit agrees with `math.factorial`, around the sizes of the tree's leaves and beyond."""
    assert factorial_digits(n) == str(math.factorial(n)).encode()


def test_factorial_of_the_default_limit_has_all_its_digits() -> None:
    """100,000! has 456,574 digits by Stirling's series, ends in 24,999 zeros, and agrees modulo a prime."""
    digits = factorial_digits(100_000)
    assert len(digits) == 456_574
    zeros = sum(100_000 // 5**power for power in range(1, 8))
    assert len(digits) - len(digits.rstrip(b"0")) == zeros == 24_999
    prime = 1_000_003
    remainder = 0
    for at in range(0, len(digits), 9):
        part = digits[at : at + 9]
        remainder = (remainder * 10 ** len(part) + int(part)) % prime
    expected = 1
    for factor in range(2, 100_001):
        expected = expected * factor % prime
    assert remainder == expected


def test_factorial_ignores_the_limit_of_int_to_text() -> None:
    """Python's limit on printing an `int` neither fails a large factorial nor is changed by one."""
    before = sys.get_int_max_str_digits()
    assert len(factorial_digits(5000)) == 16_326 > before
    assert sys.get_int_max_str_digits() == before


def test_one_iteration_is_plain_sha512() -> None:
    """The published example: SHA-512 of "abc"."""
    assert sha512_chain(b"abc", 1) == ABC.encode()


@given(st.binary(max_size=200), st.integers(min_value=1, max_value=50))
def test_each_further_iteration_hashes_the_digest_before(data: bytes, iterations: int) -> None:
    """The chain of `n` is SHA-512 of the raw digest of the chain of ``n - 1``."""
    before = bytes.fromhex(sha512_chain(data, iterations).decode())
    assert sha512_chain(data, iterations + 1) == hashlib.sha512(before).hexdigest().encode()
