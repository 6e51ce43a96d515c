"""What clients send, parsed: the contract's input half. A wrong shape is refused by field and reason."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from chatapp.errors import InvalidPayload

#: Numbers beyond are no places in a log: SQL's BIGINT ends there.
MAX_SEQ = 2**63 - 1

Seq = Annotated[int, Field(ge=0, le=MAX_SEQ)]


class Payload(BaseModel):
    """Strict: a number is not a string. Unknown fields are let pass, for newer clients."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class SincePayload(Payload):
    """The place up to which a client has seen a log."""

    epoch: str = Field(max_length=64)
    seq: Seq


class Join(Payload):
    """``join room``."""

    roomname: str
    username: str | None = None
    token: str | None = Field(default=None, max_length=1024)
    secret: str | None = Field(default=None, min_length=22, max_length=1024)
    since: SincePayload | None = None


class Leave(Payload):
    """``leave room``."""

    roomname: str


class Say(Payload):
    """``new message``: an object, or a text for the room joined last."""

    message: str
    room: str | None = None
    client_id: str | None = None


class SayPrivately(Payload):
    """``new pm``: an object, or the text ``@name text``, which is parsed further on."""

    message: str
    to: str | None = None
    client_id: str | None = None

    @model_validator(mode="after")
    def _object_names_receiver(self, info: ValidationInfo) -> SayPrivately:
        if self.to is None and info.context and info.context["is_object"]:
            raise ValueError("to: is missing")
        return self


class Edit(Payload):
    """``edit message``."""

    room: str
    seq: Seq
    message: str
    client_id: str | None = None


class Delete(Payload):
    """``delete message``."""

    room: str
    seq: Seq
    client_id: str | None = None


class React(Payload):
    """``react``."""

    room: str
    seq: Seq
    emoji: str
    on: bool
    client_id: str | None = None


class Members(Payload):
    """``members``: a page of who is in a room."""

    room: str
    after: str | None = None
    limit: int | None = Field(default=None, ge=1)


class Typing(Payload):
    """``typing``."""

    room: str
    typing: bool


class History(Payload):
    """``history``: bounds are exclusive."""

    room: str
    before: Seq | None = None
    after: Seq | None = None
    limit: int | None = Field(default=None, ge=1)


class Read(Payload):
    """``read``."""

    room: str
    seq: Seq


class Rooms(Payload):
    """``rooms``: no fields."""


P = TypeVar("P", bound=Payload)

#: What validators are told of an object; of a text that stands for one, nothing.
_OBJECT = {"is_object": True}


def parse_payload(model: type[P], args: tuple[Any, ...]) -> P:
    """Return the first argument of an event as `model`. Raises InvalidPayload, naming the field."""
    if len(args) > 1:
        raise InvalidPayload(f"One payload is expected, not {len(args)}.")
    data = args[0] if args else {} if model is Rooms else None
    if model is Rooms and data is None:
        data = {}
    is_object = isinstance(data, dict)
    if isinstance(data, str) and (model is Say or model is SayPrivately):
        data = {"message": data}
    try:
        # What `model_validate` does beside this takes as long again.
        valid: P = model.__pydantic_validator__.validate_python(data, context=_OBJECT if is_object else None)
    except ValidationError as error:
        raise InvalidPayload("; ".join(_fault(model, fault) for fault in error.errors())) from None
    return valid


def _fault(model: type[Payload], fault: Any) -> str:
    field = ".".join(str(part) for part in fault["loc"])
    if fault["type"] in ("model_type", "model_attributes_type"):
        expected = "a text or an object" if not field and model in (Say, SayPrivately) else "an object"
        return f"{field or 'payload'}: {expected} is expected"
    if fault["type"] == "missing":
        return f"{field}: is missing"
    if fault["type"] == "value_error":  # one of our own, which names its field
        return str(fault["ctx"]["error"])
    return f"{field or 'payload'}: {fault['msg'].removeprefix('Input ')}"
