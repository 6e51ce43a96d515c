"""What clients send, parsed: right shapes get through, wrong ones are refused by their field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatapp import payloads
from chatapp.errors import InvalidPayload
from chatapp.payloads import MAX_SEQ, Payload, parse_payload

#: The least that each event needs.
LEAST: dict[type[Payload], dict[str, Any]] = {
    payloads.Join: {"roomname": "lobby"},
    payloads.Leave: {"roomname": "lobby"},
    payloads.Say: {"message": "hi"},
    payloads.SayPrivately: {"message": "hi", "to": "bob"},
    payloads.Edit: {"room": "lobby", "seq": 1, "message": "hi"},
    payloads.Delete: {"room": "lobby", "seq": 1},
    payloads.React: {"room": "lobby", "seq": 1, "emoji": "👍", "on": True},
    payloads.Members: {"room": "lobby"},
    payloads.Typing: {"room": "lobby", "typing": True},
    payloads.History: {"room": "lobby"},
    payloads.Read: {"room": "lobby", "seq": 1},
    payloads.Rooms: {},
}

#: What else each may hold.
OPTIONAL: dict[type[Payload], dict[str, Any]] = {
    payloads.Join: {"username": "ann", "token": "t", "secret": "s" * 22, "since": {"epoch": "e", "seq": 3}},
    payloads.Say: {"room": "lobby", "client_id": "c"},
    payloads.SayPrivately: {"client_id": "c"},
    payloads.Edit: {"client_id": "c"},
    payloads.Delete: {"client_id": "c"},
    payloads.React: {"client_id": "c"},
    payloads.Members: {"after": "ann", "limit": 3},
    payloads.History: {"before": 9, "after": 3, "limit": 3},
}

#: A value of each type that JSON, and binary data, can bring.
VALUES = (None, 0, 1.5, "hi", True, ["hi"], {}, b"hi")

#: Those that may also be a text alone, and the one that may be nothing at all.
TEXTS = (payloads.Say, payloads.SayPrivately)
NEEDS_NONE = payloads.Rooms


def full(model: type[Payload]) -> dict[str, Any]:
    return LEAST[model] | OPTIONAL.get(model, {})


def may_be(model: type[Payload], value: Any) -> bool:
    allowed = {dict} | ({str} if model in TEXTS else set()) | ({type(None)} if model is NEEDS_NONE else set())
    return type(value) in allowed


def may_hold(model: type[Payload], name: str, value: Any) -> bool:
    return type(value) is type(full(model)[name]) or (value is None and name not in LEAST[model])


MODELS = [pytest.param(model, id=model.__name__) for model in LEAST]
REQUIRED = [
    pytest.param(model, name, id=f"{model.__name__}.{name}") for model in LEAST for name in LEAST[model]
]
WRONG_FIELDS = [
    pytest.param(model, name, value, id=f"{model.__name__}.{name}-{value!r}")
    for model in LEAST
    for name in full(model)
    for value in VALUES
    if not may_hold(model, name, value)
]
WRONG_PAYLOADS = [
    pytest.param(model, value, id=f"{model.__name__}-{value!r}")
    for model in LEAST
    for value in VALUES
    if not may_be(model, value)
]


def refusal(model: type[Payload], *args: Any) -> str:
    with pytest.raises(InvalidPayload) as caught:
        parse_payload(model, args)
    return caught.value.message


def test_every_payload_of_the_contract_is_tried_here() -> None:
    nested = {payloads.SincePayload}
    assert set(Payload.__subclasses__()) - nested == set(LEAST)
    for model in LEAST:
        assert set(model.model_fields) == set(full(model))


@pytest.mark.parametrize("model", MODELS)
def test_all_fields_get_through_unchanged(model: type[Payload]) -> None:
    assert parse_payload(model, (full(model),)).model_dump() == full(model)


@pytest.mark.parametrize("model", MODELS)
def test_optional_fields_may_be_missing_or_null(model: type[Payload]) -> None:
    missing = parse_payload(model, (LEAST[model],))
    null = parse_payload(model, ({**dict.fromkeys(OPTIONAL.get(model, {})), **LEAST[model]},))
    assert missing == null


@pytest.mark.parametrize("model", MODELS)
def test_unknown_fields_are_let_pass(model: type[Payload]) -> None:
    assert parse_payload(model, ({**full(model), "of_a_newer_client": 1},)) == parse_payload(
        model, (full(model),)
    )


@pytest.mark.parametrize(("model", "name"), REQUIRED)
def test_a_missing_field_is_named(model: type[Payload], name: str) -> None:
    incomplete = {key: value for key, value in LEAST[model].items() if key != name}
    assert refusal(model, incomplete) == f"{name}: is missing"


@pytest.mark.parametrize(("model", "name", "wrong"), WRONG_FIELDS)
def test_a_field_of_another_type_is_named(model: type[Payload], name: str, wrong: Any) -> None:
    assert refusal(model, {**full(model), name: wrong}).startswith((f"{name}: ", f"{name}."))


@pytest.mark.parametrize(("model", "wrong"), WRONG_PAYLOADS)
def test_a_payload_of_another_type_is_refused_as_a_whole(model: type[Payload], wrong: Any) -> None:
    expected = "a text or an object" if model in TEXTS else "an object"
    assert refusal(model, wrong) == f"payload: {expected} is expected"


@pytest.mark.parametrize("model", TEXTS)
def test_a_message_may_be_a_text_alone(model: type[Payload]) -> None:
    assert parse_payload(model, ("hi",)).model_dump(exclude_none=True) == {"message": "hi"}


@pytest.mark.parametrize("model", [param for param in MODELS if param.values[0] is not NEEDS_NONE])
def test_an_event_without_a_payload_is_refused(model: type[Payload]) -> None:
    assert refusal(model) == refusal(model, None)


def test_an_event_that_needs_no_payload_may_have_none() -> None:
    assert parse_payload(NEEDS_NONE, ()) == parse_payload(NEEDS_NONE, (None,)) == NEEDS_NONE()


@pytest.mark.parametrize("model", MODELS)
def test_more_than_one_payload_is_refused(model: type[Payload]) -> None:
    assert refusal(model, full(model), {}) == "One payload is expected, not 2."


def test_an_object_for_a_private_message_names_its_receiver() -> None:
    assert refusal(payloads.SayPrivately, {"message": "@bob hi"}) == "to: is missing"


def test_all_faults_are_told_at_once() -> None:
    message = refusal(payloads.React, {"room": 1, "seq": -1, "emoji": "👍"})
    assert [fault.partition(":")[0] for fault in message.split("; ")] == ["room", "seq", "on"]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (payloads.Edit, "seq"),
        (payloads.Delete, "seq"),
        (payloads.React, "seq"),
        (payloads.Read, "seq"),
        (payloads.History, "before"),
        (payloads.History, "after"),
    ],
)
def test_places_in_a_log_are_numbers_that_a_database_can_take(model: type[Payload], name: str) -> None:
    for seq in (0, MAX_SEQ):
        assert getattr(parse_payload(model, ({**LEAST[model], name: seq},)), name) == seq
    for seq in (-1, MAX_SEQ + 1, 10**400):
        assert refusal(model, {**LEAST[model], name: seq}).startswith(f"{name}: ")


@pytest.mark.parametrize("model", [payloads.History, payloads.Members])
def test_a_page_has_at_least_one_item(model: type[Payload]) -> None:
    for limit in (0, -1):
        assert refusal(model, {**LEAST[model], "limit": limit}).startswith("limit: ")


@pytest.mark.parametrize(
    ("since", "field"),
    [
        ({}, "since.epoch"),
        ({"epoch": "e"}, "since.seq"),
        ({"epoch": "e", "seq": -1}, "since.seq"),
        ({"epoch": "e", "seq": MAX_SEQ + 1}, "since.seq"),
        ({"epoch": 5, "seq": 1}, "since.epoch"),
        ({"epoch": "e" * 65, "seq": 1}, "since.epoch"),
        (5, "since"),
        ([], "since"),
    ],
)
def test_a_fault_inside_since_is_named_by_its_path(since: Any, field: str) -> None:
    assert refusal(payloads.Join, {"roomname": "lobby", "since": since}).startswith(f"{field}: ")


def test_a_token_is_bounded() -> None:
    assert refusal(payloads.Join, {"roomname": "lobby", "token": "t" * 1025}).startswith("token: ")


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    for model in LEAST:
        for name in full(model):
            assert "told" not in refusal(model, {**full(model), name: ["told"]})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(model=st.sampled_from(list(LEAST)), data=st.data())
def test_any_payload_is_parsed_or_refused_and_nothing_else(model: type[Payload], data: st.DataObject) -> None:
    known = st.fixed_dictionaries({}, optional=dict.fromkeys(full(model), JSON))
    payload = data.draw(st.one_of(JSON, known))
    try:
        assert isinstance(parse_payload(model, (payload,)), model)
    except InvalidPayload as refused:
        assert refused.message
