"""The prediction of requests, bytes and dollars."""

import json
from pathlib import Path

import pytest

from loadtest_trio.cli.preflight.cost import CostInputs, predict, total, unknown
from loadtest_trio.cli.preflight.prices import load_prices
from loadtest_trio.errors import ConfigurationError
from loadtest_trio.settings import Settings, load

NEEDED = {"REDIS_ENDPOINT": "redis://localhost", "S3_BUCKET": "bucket"}


def settings(**changes: str) -> Settings:
    return load({**NEEDED, **changes}).settings


def quantities(inputs: CostInputs, **changes: str) -> dict[str, float | None]:
    return {item.what: item.quantity for item in predict(settings(**changes), inputs, load_prices())}


def test_unknown_rate_leaves_requests_without_price() -> None:
    """Quantities that depend on the rate are unknown and named; the rest is still predicted."""
    items = predict(settings(), CostInputs(rate=None, seconds=3600), load_prices())
    assert unknown(items) == ["S3 GET requests", "S3 PUT requests"]
    assert total(items) > 0


def test_requests_follow_from_mix_and_refills() -> None:
    """100/s for a day: GETs of READ and UPDATE; PUTs of UPDATE, CREATE and the 5 % of refills."""
    found = quantities(CostInputs(rate=100, seconds=86_400))
    assert found["GET requests"] == pytest.approx(0.75 * 8_640_000)
    assert found["PUT requests"] == pytest.approx(0.40 * 8_640_000)
    assert found["LIST requests"] == pytest.approx(1440)


def test_growing_mix_needs_no_refills() -> None:
    """If CREATE outweighs DELETE, there are no refills."""
    found = quantities(
        CostInputs(rate=10, seconds=100), STEADY_STATE_DISTRIBUTION="READ:50,UPDATE:20,CREATE:20,DELETE:10"
    )
    assert found["PUT requests"] == pytest.approx(0.4 * 1000)


def test_sizes_in_bytes_determine_traffic() -> None:
    """The mean size is that of the bounds in bytes, if they are set."""
    found = quantities(
        CostInputs(rate=1, seconds=1000), MIN_FILE_SIZE_BYTES="100000", MAX_FILE_SIZE_BYTES="300000"
    )
    assert found["downloaded, same region"] == pytest.approx(750 * 200_000 / 1e9)


def test_node_type_without_price_is_unknown() -> None:
    """An unknown price is shown as unknown and does not count as free."""
    items = predict(settings(), CostInputs(rate=1, seconds=1, node_type="cache.x99"), load_prices())
    assert unknown(items) == ["ElastiCache cache.x99, valkey"]


def test_valkey_is_cheaper_than_redis() -> None:
    """ElastiCache charges a fifth less for Valkey on the same node."""
    dollars = {
        engine: [each.usd for each in predict(settings(), CostInputs(1, 3600, engine=engine), load_prices())][
            2
        ]
        for engine in ("valkey", "redis")
    }
    assert dollars == {"valkey": pytest.approx(0.032 * 0.8), "redis": pytest.approx(0.032)}


def test_job_service_pays_for_its_machines_and_archive() -> None:
    """Three tasks, two nodes, a load balancer; an archived job is a PUT; no mix of objects is paid for."""
    plain = CostInputs(rate=10, seconds=3600)
    items = {
        item.what: item
        for item in predict(settings(ROLES="api,worker"), plain.of_job_service(), load_prices())
    }
    assert items["1 vCPU"].quantity == 3
    assert items["cache.t4g.small, valkey"].quantity == 2
    assert items["load balancer"].usd == pytest.approx(load_prices()["load_balancer_hour"])
    assert items["PUT requests of archived jobs"].quantity == 0
    assert "GET requests" not in items
    archived = quantities(plain.of_job_service(), ROLES="api", JOB_ARCHIVE="s3")
    assert archived["PUT requests of archived jobs"] == 36_000


def test_prices_can_be_overridden(tmp_path: Path) -> None:
    """Entries of a file replace those of the table."""
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"s3_put_1000": 5.0}))
    inputs, usual = CostInputs(rate=100, seconds=1000), load_prices()
    dearer = total(predict(settings(), inputs, load_prices(file))) - total(predict(settings(), inputs, usual))
    puts_and_lists = 0.4 * 100_000 + 1000 / 60
    assert dearer == pytest.approx(puts_and_lists * (5.0 - usual["s3_put_1000"]) / 1000)


@pytest.mark.parametrize("content", ["{", "[]", '{"s3_putt_1000": 1}'])
def test_bad_price_file_is_a_fault(tmp_path: Path, content: str) -> None:
    """Broken JSON, a wrong type or an unknown name gives one fault that names the file."""
    file = tmp_path / "prices.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"--prices=.*prices\.json"):
        load_prices(file)


def test_terraform_has_the_same_prices() -> None:
    """The Terraform module stands alone, with an identical copy of the table."""
    root = Path(__file__).parents[4]
    ours = root / "loadtest_trio" / "cli" / "preflight" / "prices.json"
    assert (root / "terraform" / "prices.json").read_bytes() == ours.read_bytes()
