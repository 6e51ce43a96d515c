"""`ChatServer`: puts the parts together, and is what a host site works with."""

from __future__ import annotations

import atexit
import logging
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from uuid import UUID

import flask
import gevent
from gevent import monkey
from gevent.event import Event
from gevent.pywsgi import WSGIServer
from sqlalchemy import Connection

from chatapp import hosting
from chatapp.auth import GuestTokens, SiteAuth, SiteTokens, make_sidecar_readable
from chatapp.chat.attendance import Attendance
from chatapp.chat.context import Context
from chatapp.chat.distribution import Distribution
from chatapp.chat.hooks import Hooks
from chatapp.chat.people import People
from chatapp.chat.reading import Reading
from chatapp.chat.rooms import Rooms
from chatapp.chat.speech import Speech
from chatapp.cluster.bus import Bus, NoBus
from chatapp.cluster.buses import open_bus, publish_once
from chatapp.cluster.directory import Directory, new_worker_id
from chatapp.cluster.envelopes import EntryNews, EventNews, Malformed, PresenceNews, decode, encode
from chatapp.cluster.handover import Handover
from chatapp.domain.characters import skeleton
from chatapp.domain.presence import Presence
from chatapp.engine.bridge import MARK, BusBridge
from chatapp.engine.http import CLOSING, RETRY
from chatapp.engine.origins import Origins
from chatapp.engine.packets import event_frame
from chatapp.engine.pywsgi import Handler
from chatapp.engine.server import SocketDelivery, SocketServer
from chatapp.errors import HostingError, SettingsError
from chatapp.handlers import Handlers
from chatapp.housekeeping import Housekeeping
from chatapp.log.opening import open_log
from chatapp.metrics import Metrics
from chatapp.rates import Rates
from chatapp.secret import check_secret_key, secret_key
from chatapp.settings import Settings, load_settings
from chatapp.voice import Voice
from chatapp.web.blueprint import make_blueprint
from chatapp.wire import SYSTEM, Composer, Wire

logger = logging.getLogger("chatapp.server")

F = TypeVar("F", bound=Callable[..., Any])
StartResponse = Callable[..., Any]
Environ = dict[str, Any]

#: How long a stop waits for requests under way, and how long for clients that are told to go.
STOP_SECONDS = 2
GOODBYE_SECONDS = 2


class ChatServer:
    """A chat server, alone or inside a Flask site.

    ``settings`` is a `Settings`, the path of an INI file, or None for ``CHATAPP_CONFIG`` and, without
    that, the defaults. Raises SettingsError with every fault. Nothing is started or opened before the
    first request, `start`, `post` or `send_private`.
    """

    def __init__(self, settings: Settings | str | os.PathLike[str] | None = None) -> None:
        if not isinstance(settings, Settings):
            settings = load_settings(settings)
        self.settings = settings
        self.hooks = Hooks()
        self.metrics = Metrics()
        self._origins = Origins(settings.app)
        #: python-socketio's server, for events of the host's own: ``chat.sio.on("my event", …)``.
        self.sio = SocketServer(settings, self._origins, self.metrics.sessions.count, self.metrics.ends.count)
        site_tokens = SiteTokens(lambda: secret_key(settings), settings.auth.site_token_hours)
        self._site_auth = SiteAuth(settings.auth, site_tokens)
        self._app: flask.Flask | None = None
        self._served: WSGIServer | None = None
        #: Where the workers of this host find each other.
        self._directory = Directory(settings.app.data_dir / "run")
        self._is_at_work = False
        self._has_ended = False
        self._has_begun = Event()
        self._put_together()

    def _put_together(self) -> None:
        settings = self.settings
        check_secret_key(settings)
        log = open_log(settings, self.metrics.observe_commit, self.sio.eio.reactor.soon)
        delivery = SocketDelivery(self.sio)
        composer = Composer(settings.message_types)
        self._bus = self._open_bus()
        distribution = Distribution(
            log=log,
            # Without a database rooms are this process's own, and the bus is for events of the host's.
            bus=NoBus() if log.roll is None else self._bus,
            delivery=delivery,
            composer=composer,
            events=settings.events,
            later=self.sio.eio.deadlines.after,
        )
        context = self._context = Context(
            settings=settings,
            log=log,
            presence=Presence(settings.limits.leave_grace_seconds),
            delivery=delivery,
            distribution=distribution,
            hooks=self.hooks,
            rates=Rates(settings.limits),
            metrics=self.metrics,
            composer=composer,
            wake=lambda: self._housekeeping.wake(),
        )
        is_guest_mode = settings.auth.mode == "guest"
        if is_guest_mode:
            skeleton("")  # reads 50 ms of Unicode tables now, rather than at the first join
        tokens = GuestTokens(lambda: secret_key(settings), settings.auth.token_days)
        people = People(
            context,
            tokens=tokens if is_guest_mode else None,
            site_user=None if is_guest_mode else self._site_auth.site_user,
        )
        rooms = Rooms(context, people)
        self._speech = Speech(context)
        self._voice = Voice(context, self._speech, self._begin, self._ring)
        self._handlers = Handlers(context, people, rooms, self._speech, Reading(context))
        self._attendance = None
        if log.roll is not None:
            self._attendance = Attendance(
                log.roll,
                context.presence,
                self._bus,
                on_arrival=rooms.has_arrived_elsewhere,
                on_leave=rooms.has_left_elsewhere,
                on_death=rooms.has_died_elsewhere,
                follows=distribution.feed.follows,
            )
            context.attended, context.look = self._attendance.wake, self._attendance.look
        self._housekeeping = Housekeeping(context, rooms, self._attendance)
        self._bus.on_payload, self._bus.on_doubt = self._receive, self._housekeeping.doubt
        self._bridge = self.sio.manager.bridge = BusBridge(self._bus, self.sio.manager)
        self.sio.manager.on_malformed = self.metrics.bus.count_malformed
        self.sio.on("connect", self._handlers.connect)
        self.sio.on("disconnect", self._handlers.disconnect)
        self.sio.dispatcher = self._handlers
        presence = context.presence
        self.metrics.gauge("chatapp_connections", "Clients connected", presence.connections)
        self.metrics.gauge("chatapp_users", "Users connected", lambda: len(presence.user_ids()))
        self.metrics.gauge(
            "chatapp_filled_entries",
            "Entries read because no worker told of them",
            lambda: distribution.filled,
        )
        self.metrics.gauge(
            "chatapp_doubled_entries", "Entries told more than once", lambda: distribution.feed.doubled
        )
        self.metrics.gauge("chatapp_waiting_writes", "Writes that wait", lambda: context.log.waiting)

    def _open_bus(self) -> Bus:
        if self.settings.storage_url is None and self.settings.cluster.bus == "auto":
            return NoBus()
        soon, manager = self.sio.eio.reactor.soon, self.sio.manager
        return open_bus(self.settings, self._directory, soon, self.metrics.bus, manager.take_json)

    # Hooks and callbacks; each returns its function, so that it can be used as a decorator

    def on_join(self, function: F) -> F:
        """Call ``function(user, room)`` when a user has come into a room: once, not for each tab."""
        return self.hooks.add("on_join", function)

    def on_leave(self, function: F) -> F:
        """Call ``function(user, room)`` when the last of a user's connections has left a room."""
        return self.hooks.add("on_leave", function)

    def on_message(self, function: F) -> F:
        """Call ``function(message)`` with each message object, once it is stored and delivered."""
        return self.hooks.add("on_message", function)

    def on_private_message(self, function: F) -> F:
        """Call ``function(message)`` with each private message object, as its sender sees it."""
        return self.hooks.add("on_private_message", function)

    def before_join(self, function: F) -> F:
        """Ask ``function(pending)``, a `PendingJoin`, before each join: it may change or refuse it."""
        return self.hooks.add("before_join", function)

    def before_message(self, function: F) -> F:
        """Ask ``function(pending)``, a `PendingMessage`, before each message and edit."""
        return self.hooks.add("before_message", function)

    def identify(self, function: F) -> F:
        """With ``[auth] mode = custom``: ``function(request)`` returns who it is, as a name or as
        ``(id, name)``, or None for nobody, or raises a `Refusal`. The id stays a user's for ever, the
        name may change. Raises SettingsError in another mode, in which it would never be asked."""
        if self.settings.auth.mode != "custom":
            raise SettingsError(["[auth] mode: must be custom, or @chat.identify is never asked"])
        self._site_auth.identify = function
        return function

    def sign(self, user_id: str | int | UUID, name: str | int) -> str:
        """Return a token with which a page connects as this user of the site's, where the site's cookies do
        not reach: a page of another origin, with ``chat_widget(token=…)`` or ``io({auth: {token}})``. Good
        for ``[auth] site_token_hours``. Raises SettingsError in guest mode, and Unauthorized for no id."""
        if self.settings.auth.mode == "guest":
            raise SettingsError(["[auth] mode: must be flask or custom, or nobody is who chat.sign says"])
        return self._site_auth.sign(user_id, name)

    # Running

    def init_app(self, app: flask.Flask, *, realtime: bool = True) -> None:
        """Put the chat into a Flask app: its pages below ``[web] prefix``, its sockets at
        ``[app] socketio_path``, and itself at ``app.extensions["chatapp"]``.

        With ``realtime=False`` the sockets stay away: for a site on sync or threaded workers, with
        ``chatapp serve`` beside it. Raises HostingError where sockets cannot work.
        """
        if "chatapp" in app.extensions or self._app is not None:
            raise HostingError(
                "This app or this ChatServer was initialised before: call init_app once, with one each."
            )
        app.extensions["chatapp"] = self
        self._app = self._site_auth.app = app
        app.register_blueprint(
            make_blueprint(self.settings, self.metrics, self._origins, self._context.log.check)
        )
        if realtime:
            hosting.check_gunicorn(is_stored=self.settings.storage_url is not None)
            app.wsgi_app = self._beside(app.wsgi_app)  # type: ignore[method-assign]

    def wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a Socket.IO request: the WSGI application of the sockets alone."""
        if self._has_ended:  # nothing is to begin anew for whoever comes last
            start_response("503 Service Unavailable", [("Content-Type", "text/plain; charset=utf-8"), RETRY])
            return [CLOSING.encode()]
        try:
            hosting.check_serving()
            self._site_auth.check()
            self._start_work()
        except HostingError as error:
            logger.error("%s", error.message)
            start_response("503 Service Unavailable", [("Content-Type", "text/plain; charset=utf-8")])
            return [error.message.encode()]
        answer: Iterable[bytes] = self.sio.handle_request(environ, start_response)
        return answer

    def start(self, on_ready: Callable[[str, int], None] | None = None) -> None:
        """Serve on ``[app] host`` and ``port`` until `stop`; ``on_ready(host, port)`` when listening.

        Needs a process that gevent has patched. Raises HostingError without, if the port is taken or if
        nobody can say who is who, and SettingsError if a setting is missing.
        """
        hosting.check_serving()
        self._site_auth.check()
        if self._app is None:
            self.init_app(make_app(self.settings))
        address = (self.settings.app.host, self.settings.app.port)
        self._served = WSGIServer(address, self._app, handler_class=Handler, log=None)
        try:
            self._served.start()
            # Accepted sockets inherit it, as gunicorn's do. Without it the second of two small frames
            # waits 40 ms, until the client's delayed acknowledgement of the first.
            self._served.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise HostingError(
                f"Cannot listen on {address[0]} port {address[1]} ({error.strerror}): set PORT, or port in"
                " [app], to a free one."
            ) from None
        if on_ready is not None:
            on_ready(self.settings.app.host, self._served.server_port)
        try:
            self._served.serve_forever(stop_timeout=STOP_SECONDS)
        finally:
            self.close()

    def stop(self) -> None:
        """Let `start` return. Callable from any greenlet, and from `gevent.signal_handler`."""
        if self._served is not None:
            self.retire()
            self._served.stop(timeout=STOP_SECONDS)

    def retire(self) -> None:
        """Let no more clients in, and ask those who are here to come back in a moment, each in one of its
        own. Does not wait for them."""

        def goodbye(seconds: float) -> bytes:
            notice = {"code": "restarting", "message": "The server restarts.", "retry_after": seconds}
            return event_frame(self.settings.events.notice, notice)

        self.sio.eio.retire(goodbye)

    def close(self) -> None:
        """Say goodbye, write what waits and let go of everything. For the end of the process; gunicorn's
        workers come here by themselves."""
        self._has_ended = True
        if self._is_at_work:
            self._is_at_work = False
            atexit.unregister(self.close)
            self.retire()
            with gevent.Timeout(GOODBYE_SECONDS, False):
                while not self.sio.eio.is_quiet:
                    gevent.sleep(0.01)
            self._housekeeping.stop()
        self._voice.close()
        self._context.log.close()
        self._bus.close()  # once what was written last has been told
        self.sio.eio.close()
        self._directory.close()

    def _start_work(self) -> None:
        """Start what goes on by itself, in the process that answers requests; no-op if started. Raises
        HostingError if this is one of several workers that cannot find each other."""
        if self._is_at_work:
            self._has_begun.wait()
            return
        self._is_at_work = True
        self._has_begun.clear()
        try:
            self._housekeeping.start(self._find_siblings())
        except HostingError:
            self._is_at_work = False
            raise
        finally:
            self._has_begun.set()
        atexit.register(self.close)
        worker = hosting.serving_worker()
        if worker is not None:
            gevent.spawn(hosting.wait_for_end, worker).link(lambda _: self.retire())

    def _receive(self, payload: bytes) -> None:
        """Take what another worker tells."""
        if payload.startswith(MARK):
            self._bridge.take(payload)
            return
        try:
            news = decode(payload)
        except Malformed:
            self.metrics.bus.count_malformed()
            return
        if self._attendance is None:
            return  # rooms are this process's own
        if isinstance(news, PresenceNews):
            self._attendance.receive(news)
        else:
            self._context.distribution.receive(news)

    def _begin(self) -> None:
        """Take part, for the host's code speaks here, if this process can."""
        if monkey.is_module_patched("socket"):
            self._start_work()

    def _find_siblings(self) -> str:
        """Become a worker that others find, and return its id: now, for gunicorn forks."""
        workers = hosting.worker_count()
        worker_id = new_worker_id()
        try:
            if self.settings.storage_url is None:
                hosting.check_alone(workers)
            else:
                self._directory.open()
                limits, count = self.settings.limits, self.metrics.handovers.count
                self.sio.eio.join(Handover(self._directory, worker_id, limits.frame_bytes, count))
            self._bus.start(worker_id)
        except HostingError as error:
            if workers > 1:
                raise
            logger.warning("%s", error.message)  # one worker can do without
        self.metrics.name_worker(worker_id, os.getpid())
        return worker_id

    def _beside(self, site: Callable[..., Any]) -> Callable[..., Any]:
        path = self.settings.app.socketio_path + "/"

        def route(environ: Environ, start_response: StartResponse) -> Any:
            if environ.get("PATH_INFO", "").startswith(path):
                return self.wsgi(environ, start_response)
            return site(environ, start_response)

        return route

    # The host's own voice

    def post(
        self,
        room: str,
        text: str,
        *,
        sender: str = SYSTEM,
        notice: bool = False,
        client_id: str | None = None,
        connection: Connection | None = None,
    ) -> Wire:
        """Store a message in a room, made if need be, and deliver it; return its receipt
        ``{room, seq, id, sent_at, epoch}``. Repeated with the same `client_id` it is stored once.

        Callable from any process that has the settings of the chat: from a view, a Celery job, a cron
        script. With a `connection` of SQLAlchemy's to the chat's database it is a part of the transaction
        there: delivered once that is committed, and never said if it is not. Raises a `Refusal`, or
        HostingError where nothing is stored or the connection leads elsewhere.
        """
        return self._voice.post(room, text, sender, notice=notice, client_id=client_id, connection=connection)

    def send_private(
        self,
        to: str,
        text: str,
        *,
        sender: str = SYSTEM,
        client_id: str | None = None,
        connection: Connection | None = None,
    ) -> Wire:
        """Store a private message from the host to the user of this name, and deliver it; return its
        receipt. `connection` is that of `post`. Raises NoSuchUser."""
        return self._voice.send_private(to, text, sender, client_id=client_id, connection=connection)

    def members(self, room: str) -> list[Wire]:
        """Return who is in a room right now: ``{user_id, username}`` each, by name."""
        return self._voice.members(room)

    def distribute_message(self, room: str, text: str) -> None:
        """Show a notice to whoever is in a room right now. It is not stored and has no ``seq``: who is
        away never sees it. `post` is what stores."""
        self._voice.distribute_message(room, text)

    def send_message(self, to: str, text: str, *, code: str = "message") -> None:
        """Send a ``server notice`` ``{code, message}`` to all connections that the user of this name has
        right now. Not stored. Raises NoSuchUser."""
        self._voice.send_message(to, text, code)

    def _ring(self, news: EntryNews | EventNews) -> None:
        """Tell those who serve of what this process says."""
        topics, payload = {part.topic for part in news.parts}, encode(news)
        if self._is_at_work:
            self._context.distribution.receive(news)
            self._bus.publish(topics, payload)
        else:
            publish_once(self.settings, self._directory, topics, payload)


def make_app(settings: Settings) -> flask.Flask:
    """Return the Flask app of a chat server that stands alone or beside a site. Raises SettingsError."""
    app = flask.Flask("chatapp", static_folder=None)
    app.add_url_rule("/", "home", lambda: flask.redirect(settings.web.prefix + "/"))
    make_sidecar_readable(app, settings.auth)
    return app


def create_app(settings: Settings | str | os.PathLike[str] | None = None) -> flask.Flask:
    """Return a Flask app with a chat server in it, for ``wsgi:app``.

    Under gunicorn a wrong setting or a way of running that cannot work ends the start with its
    sentence, without a traceback.
    """
    try:
        chat = ChatServer(settings)
        app = make_app(chat.settings)
        chat.init_app(app)
    except (SettingsError, HostingError) as error:
        hosting.end_start(error)
    return app
