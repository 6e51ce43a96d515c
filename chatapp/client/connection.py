"""The connection a person keeps: made, lost and made again, on a thread of its own."""

from __future__ import annotations

import itertools
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from functools import partial

from chatapp.client import news
from chatapp.client.dialogue import Dialogue
from chatapp.client.link import GOODBYE_SECONDS, Link, LinkError, Listener, Target
from chatapp.client.means import Means
from chatapp.client.session import Session
from chatapp.client.wire import Answer, parse_answer
from chatapp.settings import Events, MessageTypes

logger = logging.getLogger("chatapp.client.connection")

#: Seconds the server has for an acknowledgement, and for letting one in. A connection on which one fails to
#: come is given up; whatever was not acknowledged goes out again, under the same id, over the next.
ANSWER_SECONDS = 10.0
#: The first wait before connecting again, doubled each time up to the longest.
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 15.0
#: How long `close` waits for the thread: for a goodbye, not for an attempt to connect.
CLOSE_SECONDS = GOODBYE_SECONDS + 0.5


class Connection:
    """Keeps a `Dialogue` going. `tell` is called on the thread; every other method is for any thread.

    The first attempt has to succeed; after that it connects again for as long as it takes. `news.Closed` is
    the last that is told, unless `close` was called.
    """

    def __init__(
        self,
        target: Target,
        session: Session,
        events: Events,
        types: MessageTypes,
        tell: news.Tell,
        *,
        name: str | None,
        room: str,
        follow: bool,
        first_retry_seconds: float = FIRST_RETRY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._tell = tell
        self._first_retry_seconds = first_retry_seconds
        self._clock = clock
        self._dice = dice
        means = Means(session, events, types, self._call, tell, clock)
        self._dialogue = Dialogue(means, name=name, room=room, follow=follow)
        self._inbox: queue.Queue[Callable[[], object]] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="chatapp-client", daemon=True)
        # All below belongs to the thread. The link, which of all it is, and until when which of its answers
        # are due:
        self._link: Link | None = None
        self._link_number = 0
        self._call_ids = itertools.count()
        self._due: dict[int, float] = {}
        # Whether the server ever let one in, how many attempts failed since, and when to make the next.
        self._was_known = False
        self._attempts = 0
        self._attempt_at = 0.0
        self._is_ending = False

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def post(self, action: Callable[[Dialogue], object]) -> None:
        """Have `action` done with the dialogue, on the thread, in the order posted."""
        self._inbox.put(lambda: action(self._dialogue))

    def close(self) -> None:
        """End the connection and wait for the thread, a few seconds at most."""
        self._inbox.put(self._end)
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    # The thread.

    def _run(self) -> None:
        try:
            while not self._is_ending:
                self._step()
        except Exception as error:
            logger.exception("the client failed")
            self._tell(news.Closed(f"A fault of the client: {type(error).__name__}."))
        finally:
            if self._link is not None:
                self._link.close()

    def _step(self) -> None:
        """Do what is due, then one thing from the inbox."""
        now = self._clock()
        if self._link is None and now >= self._attempt_at:
            self._connect()
        elif self._due and now >= min(self._due.values()):
            self._lose("The server does not answer.")
        times = [*self._due.values()]
        if self._link is None:
            times.append(self._attempt_at)
        elif (woken := self._dialogue.wake()) is not None:
            times.append(woken)
        try:
            action = self._inbox.get(timeout=max(0.0, min(times) - self._clock()) if times else None)
        except queue.Empty:
            return
        action()

    def _end(self) -> None:
        self._is_ending = True

    # The link.

    def _connect(self) -> None:
        self._link_number = number = self._link_number + 1

        def if_current(action: Callable[..., None], *args: object) -> None:
            if self._link is not None and self._link_number == number:
                action(*args)

        listener = Listener(
            opened=partial(if_current, self._opened),
            refused=partial(if_current, self._refused),
            received=partial(if_current, self._dialogue.received),
            lost=partial(if_current, self._lose, "The connection was lost."),
        )
        self._link = Link(self._target, self._inbox.put, listener)
        self._due[next(self._call_ids)] = self._clock() + ANSWER_SECONDS
        try:
            self._link.connect()
        except LinkError as error:
            self._lose(str(error))

    def _opened(self) -> None:
        self._due.clear()
        self._dialogue.opened()

    def _refused(self, why: str) -> None:
        self._lose(f"The server does not let you in: {why}")

    def _lose(self, reason: str) -> None:
        """Give the link up and plan the next attempt; the first link's loss, before one is in, is the end."""
        link, self._link = self._link, None
        self._due.clear()
        self._dialogue.lost()
        if link is not None:
            link.close()
        if not self._was_known:
            self._is_ending = True
            self._tell(news.Closed(reason))
            return
        wait_seconds = min(self._first_retry_seconds * 2**self._attempts, LONGEST_RETRY_SECONDS)
        # Half of it at random, or all clients of a restarted server would come back at once.
        wait_seconds *= 0.5 + self._dice() / 2
        self._attempts += 1
        self._attempt_at = self._clock() + wait_seconds
        self._tell(news.Offline(reason, wait_seconds))

    # Calls.

    def _call(self, event: str, payload: object, on_answer: Callable[[Answer], None]) -> None:
        if self._link is None:
            return
        call_id = next(self._call_ids)
        self._due[call_id] = self._clock() + ANSWER_SECONDS
        self._link.call(event, payload, partial(self._answered, call_id, on_answer))

    def _answered(self, call_id: int, on_answer: Callable[[Answer], None], payload: object) -> None:
        if self._due.pop(call_id, None) is None:
            return  # of a link given up since
        on_answer(parse_answer(payload))
        if self._dialogue.is_known:
            self._was_known = True
            self._attempts = 0
