"""A site as sites are: its own login, pages and database. The lines marked `# chat` add the chat.

Needs ``BOOKCLUB_SECRET_KEY`` and ``BOOKCLUB_DATABASE``, a file, in the environment.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from flask import (
    Flask,
    Response,
    abort,
    flash,
    g,
    jsonify,
    redirect,
    render_template_string,
    request,
    session,
    stream_with_context,
)
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from werkzeug.security import check_password_hash, generate_password_hash

from chatapp import ChatServer  # chat

SCHEMA = """
create table if not exists users
    (id integer primary key, email text unique, password text, username text);
create table if not exists reviews
    (id integer primary key, user_id integer references users (id), book text, text text);
"""

HOME = """<!doctype html>
<title>Book club</title>
{% for message in get_flashed_messages() %}<p class=flash>{{ message }}</p>{% endfor %}
<p>{{ "Hello " ~ current_user.username if current_user.is_authenticated else "Log in to take part" }}</p>
{% for review in reviews %}<h2>{{ review.book }}</h2><p>{{ review.text }} ({{ review.username }})</p>
{% else %}<p>No reviews yet.</p>
{% endfor %}"""

REVIEWS = "select book, text, username from reviews join users on users.id = user_id order by reviews.id"

app = Flask(__name__)
app.config.update(SESSION_COOKIE_NAME="bookclub", SESSION_COOKIE_SAMESITE="Lax")
app.config.from_prefixed_env("BOOKCLUB")
login_manager = LoginManager(app)
login_manager.session_protection = "strong"

#: How many database connections were opened and closed.
connections = {"opened": 0, "closed": 0}

chat = ChatServer()  # chat
chat.init_app(app, realtime=app.config.get("CHAT_REALTIME", True))  # chat


class User(UserMixin):
    """A row of the users table."""

    def __init__(self, row: sqlite3.Row) -> None:
        self.id = row["id"]
        self.username = row["username"]


@login_manager.user_loader
def load_user(user_id: str) -> User | None:
    row = database().execute("select * from users where id = ?", [user_id]).fetchone()
    return User(row) if row else None


def database() -> Any:
    """Return the request's connection."""
    if "database" not in g:
        connections["opened"] += 1
        g.database = sqlite3.connect(app.config["DATABASE"], timeout=10)
        g.database.row_factory = sqlite3.Row
    return g.database


@app.teardown_appcontext
def close_database(error: BaseException | None) -> None:
    if connection := g.pop("database", None):
        connections["closed"] += 1
        connection.close()


@app.after_request
def forbid_frames(response: Response) -> Response:
    response.headers["X-Frame-Options"] = "DENY"
    return response


@app.errorhandler(404)
def not_found(error: Exception) -> tuple[str, int]:
    return "<!doctype html><p>There is no such page in this book.</p>", 404


@app.get("/")
def home() -> str:
    return render_template_string(HOME, reviews=database().execute(REVIEWS).fetchall())


@app.post("/signup")
def sign_up() -> Any:
    password = generate_password_hash(request.form["password"], "pbkdf2:sha256:1000")
    with database() as transaction:
        transaction.execute(
            "insert into users (email, password, username) values (?, ?, ?)",
            [request.form["email"], password, request.form["username"]],
        )
    return redirect("/")


@app.post("/login")
def log_in() -> Any:
    row = database().execute("select * from users where email = ?", [request.form["email"]]).fetchone()
    if row is None or not check_password_hash(row["password"], request.form["password"]):
        abort(403)
    session["username"] = row["username"]
    login_user(User(row))
    flash("Welcome back")
    return redirect("/")


@app.post("/logout")
def log_out() -> Any:
    logout_user()
    session.pop("username", None)
    return redirect("/")


@app.post("/rename")
@login_required
def rename() -> Any:
    with database() as transaction:
        transaction.execute(
            "update users set username = ? where id = ?", [request.form["username"], current_user.id]
        )
    session["username"] = request.form["username"]
    return redirect("/")


@app.post("/reviews")
@login_required
def review() -> Any:
    with database() as transaction:
        transaction.execute(
            "insert into reviews (user_id, book, text) values (?, ?, ?)",
            [current_user.id, request.form["book"], request.form["text"]],
        )
    return redirect("/")


@app.get("/reviews.csv")
def export() -> Response:
    """Stream the reviews, read while the answer is already on its way."""

    def lines() -> Iterator[str]:
        yield "book;text\n"
        for row in database().execute(REVIEWS):
            yield f"{row['book']};{row['text']}\n"

    return Response(stream_with_context(lines()), mimetype="text/csv")


@app.post("/upload")
def upload() -> Any:
    """Read a body piece by piece, whether its length was announced or not."""
    digest, size = hashlib.sha256(), 0
    while piece := request.stream.read(10_000):
        digest.update(piece)
        size += len(piece)
    return jsonify(sha256=digest.hexdigest(), size=size)


@app.get("/broken")
def broken() -> str:
    raise ZeroDivisionError


@app.get("/connections")
def show_connections() -> Any:
    return jsonify(connections)


with app.app_context():
    database().executescript(SCHEMA)
