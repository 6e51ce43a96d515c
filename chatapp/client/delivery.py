"""Sending what was said: each message until it is acknowledged or refused for good."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import partial

from chatapp.client import news
from chatapp.client.means import Means, retry_seconds
from chatapp.client.outbox import Outgoing
from chatapp.client.wire import Answer


class Delivery:
    """Empties the session's outbox; `joined` is the live set of rooms joined over the present connection."""

    def __init__(self, means: Means, joined: AbstractSet[str]) -> None:
        self._means = means
        self._outbox = means.session.outbox
        self._joined = joined

    def send_ready(self) -> None:
        """Send what may be sent now."""
        for outgoing in self._outbox.ready(self._means.clock()):
            if outgoing.recipient is not None:
                self._send(outgoing, self._means.events.privatemsg, {"to": outgoing.recipient})
            elif outgoing.room in self._joined:
                self._send(outgoing, self._means.events.newmsg, {"room": outgoing.room})

    def _send(self, outgoing: Outgoing, event: str, where: dict[str, str]) -> None:
        outgoing.under_way = True
        payload = {**where, "message": outgoing.text, "client_id": outgoing.client_id}
        self._means.call(event, payload, partial(self._answered, outgoing))

    def _answered(self, outgoing: Outgoing, answer: Answer) -> None:
        if answer.is_passing:
            wait_seconds = retry_seconds(answer)
            self._outbox.postpone(outgoing, self._means.clock() + wait_seconds)
            self._means.tell(news.Delayed(outgoing.client_id, answer.message, wait_seconds))
            return
        if not self._outbox.settle(outgoing):
            return
        if answer.ok:
            self._stored(outgoing, answer)
        else:
            self._means.tell(news.Undelivered(outgoing.client_id, outgoing.text, answer.message))
        self.send_ready()

    def _stored(self, outgoing: Outgoing, answer: Answer) -> None:
        types = self._means.types
        message_type = types.generic if outgoing.recipient is None else types.private
        for item in self._means.session.stored(outgoing, answer, message_type, self._means.clock()):
            self._means.tell(news.Arrived(item))
        self._means.tell(news.Delivered(outgoing.client_id, answer.text("room"), answer.number("seq")))
