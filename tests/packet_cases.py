"""Packets that break the rules of Engine.IO and Socket.IO, by what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Sequence

NOT_A_PACKET, NOT_ALLOWED, NOT_AWAITED = 1007, 1008, 1003

#: Names that clients of this protocol version keep for themselves, and python-socketio's own. Those that
#: only clients of version 2 keep (``error``, ``ping``, …) are a host's to use.
RESERVED = ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
RESERVED += ("*", "__disconnect_final")

#: What is in the packets and never in the log.
SECRET = "hush"

Packets = Sequence[str | bytes]

PLACEHOLDER = '{"_placeholder":true,"num":0}'


def nested(depth: int) -> str:
    """Return an event that is nested so deep."""
    return '42["echo",' + "[" * (depth - 1) + "]" * (depth - 1) + "]"


#: No packet of Engine.IO or Socket.IO, or one whose JSON is not valid.
MALFORMED: dict[str, Packets] = {
    "nothing": [""],
    "no number": ["hush"],
    "a space": [" "],
    "a JSON text": ['["echo","hush"]'],
    "a message without a packet": ["4"],
    "a packet without a number": ["4hush"],
    "a packet of digits beyond ASCII": ['4٢["hush"]'],
    "an event that does not end": ['42["echo","hush"'],
    "an event that goes on": ['42["echo","hush"]x'],
    "two values": ['42["echo","hush"]["echo"]'],
    "NaN": ['421["echo","hush",NaN]'],
    "Infinity": ['421["echo","hush",Infinity]'],
    "-Infinity": ['421["echo","hush",-Infinity]'],
    "a number beyond a double": ['421["echo","hush",1e400]'],
    "a negative number beyond a double": ['421["echo","hush",-1e400]'],
    "a lone high surrogate": ['421["echo","hush\\ud800"]'],
    "half a character in an answer": ['431["hush\\ud800"]'],
    "a lone low surrogate": ['421["echo","hush\\udc00"]'],
    "surrogates in the wrong order": ['421["echo","hush\\udc00\\ud800"]'],
    "a lone surrogate as a key": ['421["echo",{"hush\\ud800":1}]'],
    "a control character": ['421["echo","hush\n"]'],
    "single quotes": ["421[\"echo\",'hush']"],
    "a comma too many": ['421["echo","hush",]'],
    "a comment": ['421["echo","hush"/**/]'],
    "a leading zero": ['421["echo","hush",01]'],
    "a byte order mark": ['421\ufeff["echo","hush"]'],
    "an unknown escape": ['421["echo","hush\\x41"]'],
    "deeper than allowed": [nested(33)],
    "much deeper than allowed": [nested(20000)],
    "objects deeper than allowed": ['42["echo",' + '{"a":' * 32 + "1" + "}" * 32 + "]"],
    "an id of letters": ['42abc["echo","hush"]'],
    "an id that is too long": ["42" + "9" * 400 + '["echo","hush"]'],
    "an id that is negative": ['42-1["echo","hush"]'],
    "attachments without a count": ['45["echo","hush"]'],
    "an empty count of attachments": ['45-["echo","hush"]'],
    "a count of letters": ['45a-["echo","hush"]'],
    "attachments of a text event": ['421-["echo","hush"]'],
    "a connection that does not end": ['40{"token":"hush"'],
    "an answer without a list": ['431{"hush":1}'],
    "an answer without anything": ["431"],
    "an answer without an id": ['43["hush"]'],
}

#: What JSON can say and no event can be; the documents leave the code open, so either is right.
NO_EVENT: dict[str, Packets] = {
    "an event of nothing": ["42"],
    "an event of no list": ['42{"hush":1}'],
    "an event of null": ["42null"],
    "an event of a text": ['42"hush"'],
    "an event of an empty list": ["42[]"],
    "a namespace without its comma": ['42/custom["echo","hush"]'],
    "a connection with a list": ["40[1]"],
    "a connection with a text": ['40"hush"'],
    "a disconnection with a payload": ['41{"hush":1}'],
    "a binary event of no list": ['451-{"hush":1}'],
}

#: Well-formed, and not allowed.
FORBIDDEN: dict[str, Packets] = {
    "a second CONNECT": ["40"],
    "a second CONNECT with a payload": ['40{"token":"hush"}'],
    "CONNECT_ERROR": ['44{"message":"hush"}'],
    "an unknown type of packet": ['47["echo","hush"]'],
    "another unknown type of packet": ['48["echo","hush"]'],
    "the last unknown type of packet": ["49"],
    "an unknown type of Engine.IO": ["7"],
    "another unknown type of Engine.IO": ["9hush"],
    "a ping from the client": ["2"],
    "a probe outside of an upgrade": ["2probe"],
    "OPEN from the client": ['0{"sid":"hush"}'],
    "an upgrade outside of one": ["5"],
    "an event whose name is a number": ['42[1,"hush"]'],
    "an event whose name is null": ['42[null,"hush"]'],
    "an event whose name is a list": ['42[["echo"],"hush"]'],
    "an event of a namespace that is not connected": ['42/custom,["message","hush"]'],
    "an event of a namespace that nobody knows": ['42/random,["message","hush"]'],
    "an answer in a namespace that is not connected": ['43/custom,1["hush"]'],
    "a disconnection of a namespace that is not connected": ["41/custom,"],
    "more attachments than allowed": ['4511-["echo","hush"]'],
    "very many attachments": ["45" + "9" * 300 + '-["echo","hush"]'],
    "text where an attachment is awaited": [f'451-["echo","hush",{PLACEHOLDER}]', '42["echo","hush"]'],
    "a placeholder beyond the attachments": ['451-["echo",{"_placeholder":true,"num":1}]', b"hush"],
    "a placeholder below zero": ['451-["echo",{"_placeholder":true,"num":-1}]', b"hush"],
    "a placeholder of a text": ['451-["echo",{"_placeholder":true,"num":"0"}]', b"hush"],
    "a placeholder of a fraction": ['451-["echo",{"_placeholder":true,"num":0.5}]', b"hush"],
    "a placeholder of a truth": ['451-["echo",{"_placeholder":true,"num":false}]', b"hush"],
    "a placeholder without a number": ['451-["echo",{"_placeholder":true}]', b"hush"],
    "fewer placeholders than attachments": [f'452-["echo",{PLACEHOLDER}]', b"hush", b"hush"],
    "no placeholder for an attachment": ['451-["echo","hush"]', b"hush"],
    "an attachment as the name of an event": [f"451-[{PLACEHOLDER}]", b"hush"],
    **{f"the reserved name {name}": ["42" + json.dumps([name, "hush"])] for name in RESERVED},
    "a reserved name with an id": ['421["disconnect","hush"]'],
    "a reserved name with an attachment": [f'451-["disconnect",{PLACEHOLDER}]', b"hush"],
    "a reserved name in escapes": ['42["\\u0064isconnect","hush"]'],
}

UNAWAITED: dict[str, Packets] = {
    "bytes that nobody awaits": [b"hush"],
    "no bytes at all that nobody awaits": [b""],
    "an attachment too many": [f'451-["echo","hush",{PLACEHOLDER}]', b"hush", b"hush"],
}

#: What is allowed once the client is connected, and not before.
BEFORE_CONNECT: dict[str, Packets] = {
    "an event": ['42["echo","hush"]'],
    "an event of the chat's": ['42["join room",{"roomname":"hush"}]'],
    "an event with an attachment": [f'451-["echo",{PLACEHOLDER}]', b"hush"],
    "an answer": ['431["hush"]'],
    "a disconnection": ["41"],
}
