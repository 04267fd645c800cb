"""The prediction of requests, bytes and dollars."""

import json
from pathlib import Path

import pytest

from loadtest_trio.cli.preflight.cost import Plan, predict, total, unknown
from loadtest_trio.cli.preflight.prices import load_prices
from loadtest_trio.errors import ConfigurationError
from loadtest_trio.settings import Settings, load

NEEDED = {"REDIS_ENDPOINT": "redis://localhost", "S3_BUCKET": "bucket"}


def settings(**changes: str) -> Settings:
    return load({**NEEDED, **changes}).settings


def quantities(plan: Plan, **changes: str) -> dict[str, float | None]:
    return {
        position.what: position.quantity for position in predict(settings(**changes), plan, load_prices())
    }


def test_without_a_rate_the_requests_have_no_price() -> None:
    """What hangs on the rate is unknown, and is named; the rest is predicted all the same."""
    positions = predict(settings(), Plan(rate=None, seconds=3600), load_prices())
    assert unknown(positions) == ["S3 GET requests", "S3 PUT requests"]
    assert total(positions) > 0


def test_requests_follow_from_the_mix_and_its_refills() -> None:
    """100 a second for a day: GETs of READ and UPDATE; PUTs of UPDATE, CREATE and the 5 % of refills."""
    found = quantities(Plan(rate=100, seconds=86_400))
    assert found["GET requests"] == pytest.approx(0.75 * 8_640_000)
    assert found["PUT requests"] == pytest.approx(0.40 * 8_640_000)
    assert found["LIST requests"] == pytest.approx(1440)


def test_a_mix_that_grows_needs_no_refills() -> None:
    """Where CREATE outweighs DELETE nothing is refilled."""
    found = quantities(
        Plan(rate=10, seconds=100), STEADY_STATE_DISTRIBUTION="READ:50,UPDATE:20,CREATE:20,DELETE:10"
    )
    assert found["PUT requests"] == pytest.approx(0.4 * 1000)


def test_sizes_in_bytes_decide_the_traffic() -> None:
    """The mean size is that of the bytes' bounds when those are set."""
    found = quantities(Plan(rate=1, seconds=1000), MIN_FILE_SIZE_BYTES="100000", MAX_FILE_SIZE_BYTES="300000")
    assert found["downloaded, same region"] == pytest.approx(750 * 200_000 / 1e9)


def test_a_node_type_without_a_price_is_said_to_be_unknown() -> None:
    """An unknown price is shown as unknown, and does not count as free in silence."""
    positions = predict(settings(), Plan(rate=1, seconds=1, node_type="cache.x99"), load_prices())
    assert unknown(positions) == ["ElastiCache cache.x99, valkey"]


def test_valkey_is_cheaper_than_redis() -> None:
    """ElastiCache charges a fifth less for Valkey on the same node."""
    dollars = {
        engine: [each.usd for each in predict(settings(), Plan(1, 3600, engine=engine), load_prices())][2]
        for engine in ("valkey", "redis")
    }
    assert dollars == {"valkey": pytest.approx(0.032 * 0.8), "redis": pytest.approx(0.032)}


def test_prices_can_be_overridden(tmp_path: Path) -> None:
    """Entries of a file replace those of the table."""
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"s3_put_1000": 5.0}))
    plan, usual = Plan(rate=100, seconds=1000), load_prices()
    dearer = total(predict(settings(), plan, load_prices(file))) - total(predict(settings(), plan, usual))
    puts_and_lists = 0.4 * 100_000 + 1000 / 60
    assert dearer == pytest.approx(puts_and_lists * (5.0 - usual["s3_put_1000"]) / 1000)


@pytest.mark.parametrize("content", ["{", "[]", '{"s3_putt_1000": 1}'])
def test_a_bad_price_file_is_a_setting_fault(tmp_path: Path, content: str) -> None:
    """Broken JSON, the wrong kind, or an unknown name: one fault that names the file."""
    file = tmp_path / "prices.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"--prices=.*prices\.json"):
        load_prices(file)


def test_terraform_has_the_same_prices() -> None:
    """The module stands alone, with a copy of the table of its own."""
    root = Path(__file__).parents[4]
    ours = root / "loadtest_trio" / "cli" / "preflight" / "prices.json"
    assert (root / "terraform" / "prices.json").read_bytes() == ours.read_bytes()
