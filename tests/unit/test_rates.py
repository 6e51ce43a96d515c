"""How often one user may do what."""

from __future__ import annotations

import threading

import pytest

from chatapp.errors import RateLimited
from chatapp.rates import FEW, Rates
from chatapp.settings import Limits


def check(rates: Rates, times: int, kind: str = "messages", who: str = "1") -> RateLimited | None:
    """Make so many requests; return the refusal of the last, all others have to pass."""
    for _ in range(times - 1):
        rates.check(kind, who)
    try:
        rates.check(kind, who)
    except RateLimited as refusal:
        return refusal
    return None


@pytest.mark.parametrize(
    ("rate", "seconds"), [("3/second", 1), ("3/minute", 60), ("3 per 2 minutes", 120), ("3/hour", 3600)]
)
def test_a_request_over_the_rate_is_told_when_there_is_room_again(rate: str, seconds: int) -> None:
    rates = Rates(Limits(messages=rate))
    assert check(rates, 3) is None
    refusal = check(rates, 1)
    assert refusal is not None and refusal.retry_after is not None
    # A second or two may have passed since the first request.
    assert max(1, seconds - 2) <= refusal.retry_after <= seconds
    assert refusal.to_wire()["retry_after"] == refusal.retry_after
    assert refusal.message.startswith("Too fast: at most 3 per ")


def test_after_a_while_there_is_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    rates = Rates(Limits(messages="2/minute"))
    assert check(rates, 2) is None
    now += 59
    refusal = check(rates, 1)
    assert refusal is not None and refusal.retry_after == 1
    now += 1.1
    assert check(rates, 2) is None
    assert check(rates, 1) is not None


def test_a_refused_request_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    rates = Rates(Limits(messages="1/minute"))
    assert check(rates, 1) is None
    for _ in range(6):
        now += 9
        assert check(rates, 1) is not None
    now += 6.1
    assert check(rates, 1) is None


def test_each_of_several_rates_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    rates = Rates(Limits(messages="2/second;3/minute"))
    refusal = check(rates, 3)
    assert refusal is not None and "2 per 1 second" in refusal.message
    now += 2
    refusal = check(rates, 2)
    assert refusal is not None and "3 per 1 minute" in refusal.message


def test_users_do_not_take_room_from_each_other() -> None:
    rates = Rates(Limits(messages="1/minute"))
    assert check(rates, 1, who="1") is None
    assert check(rates, 1, who="2") is None
    assert check(rates, 1, who="1") is not None


@pytest.mark.parametrize("kind", ["messages", "joins", "reads", "signals"])
def test_each_kind_has_its_own_rate(kind: str) -> None:
    rates = Rates(Limits(**{kind: "1/minute"}))
    assert check(rates, 1, kind) is None
    assert check(rates, 1, kind) is not None
    for other in {"messages", "joins", "reads", "signals"} - {kind}:
        assert check(rates, 20, other) is None


def test_switched_off_there_are_no_rates() -> None:
    assert check(Rates(Limits(enabled=False, messages="1/hour")), 100) is None


def test_nothing_is_started_before_the_first_request() -> None:
    # What is started before gunicorn forks its workers does not run in them.
    threads = threading.enumerate()
    rates = Rates(Limits())
    assert threading.enumerate() == threads
    assert check(rates, 1) is None


def test_a_request_that_one_rate_refuses_takes_no_room_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    rates = Rates(Limits(messages="3/minute;1/second"))
    assert check(rates, 1) is None
    for _ in range(5):
        assert check(rates, 1) is not None
    now += 1.1
    assert check(rates, 1) is None


def test_who_did_nothing_for_a_while_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    rates = Rates(Limits(joins="1/minute"))
    for number in range(10 * FEW):
        now += 60 / FEW
        rates.check("joins", number)
    (rate,) = rates._rates["joins"]
    assert len(rate.hits) <= 2 * FEW + 2
    assert check(rates, 1, "joins", 10 * FEW - 1) is not None  # type: ignore[arg-type]
