"""The directory in which workers find each other: names, who is gone, and who may look in."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatapp.cluster.directory import Directory, is_worker_id, new_worker_id
from chatapp.errors import HostingError

ANN, BOB = "aaaaaaaa", "bbbbbbbb"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    # Longer than the 107 bytes that a socket's address may have.
    directory = Directory(tmp_path / ("a long name " * 10) / "run")
    directory.open()
    yield directory
    directory.close()


def leave_behind(directory: Directory, worker_id: str) -> None:
    """Leave a socket as a killed worker does."""
    directory.listen(worker_id, "hand").close()


def test_an_id_is_eight_hexadecimal_digits_and_another_one_each_time() -> None:
    ids = {new_worker_id() for _ in range(100)}
    assert len(ids) == 100 and all(map(is_worker_id, ids))


@pytest.mark.parametrize(
    "text", ["", "aaaaaaa", "aaaaaaaaa", "AAAAAAAA", "../aaaaa", "aaaa/aaa", "aaaaaaaa\n"]
)
def test_what_is_no_id_is_known_as_such(text: str) -> None:
    assert not is_worker_id(text)


def test_it_is_made_for_this_user_alone(directory: Directory) -> None:
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700


def test_one_that_is_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)
    with pytest.raises(HostingError, match="with mode 0700"):
        Directory(tmp_path / "run").open()


def test_a_link_to_another_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostingError, match="data_dir"):
        Directory(tmp_path / "run").open()


def test_one_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostingError, match="set data_dir"):
        Directory(tmp_path / "file" / "run").open()


def test_one_that_was_removed_is_refused_when_somebody_wants_to_listen(directory: Directory) -> None:
    directory.path.rmdir()
    with pytest.raises(HostingError, match="set data_dir"):
        directory.listen(ANN, "hand")


def test_workers_reach_each_other(directory: Directory) -> None:
    with directory.listen(ANN, "hand") as listener:
        assert directory.workers("hand") == [ANN] and directory.workers("bus") == []
        connection = directory.connect(ANN, "hand")
        assert connection is not None
        with connection, listener.accept()[0] as accepted:
            connection.sendall(b"hello")
            assert accepted.recv(10) == b"hello"


def test_a_worker_that_is_gone_is_none_and_its_socket_is_removed(directory: Directory) -> None:
    assert directory.connect(ANN, "hand") is None
    leave_behind(directory, ANN)
    assert directory.workers("hand") == [ANN]
    assert directory.connect(ANN, "hand") is None
    assert directory.workers("hand") == []


def test_clearing_removes_those_of_the_dead_and_leaves_the_living(directory: Directory) -> None:
    leave_behind(directory, ANN)
    with directory.listen(BOB, "hand"):
        (directory.path / "another file.hand").touch()
        directory.clear("hand")
        assert directory.workers("hand") == [BOB]
        assert (directory.path / "another file.hand").exists()


def test_a_worker_whose_backlog_is_full_blocks_nobody_and_is_not_taken_for_dead(directory: Directory) -> None:
    with directory.listen(ANN, "hand") as listener:
        listener.listen(0)
        waiting: list[socket.socket] = []
        with pytest.raises(BlockingIOError):
            for _ in range(10):
                connection = directory.connect(ANN, "hand")
                assert connection is not None
                waiting.append(connection)
        directory.clear("hand")
        assert directory.workers("hand") == [ANN]
        for connection in waiting:
            connection.close()


def test_a_full_backlog_does_not_block_gevents_loop_either(directory: Directory) -> None:
    program = """
        from gevent import monkey; monkey.patch_all()
        import sys; from pathlib import Path
        from chatapp.cluster.directory import Directory
        directory = Directory(Path(sys.argv[1])); directory.open()
        listener = directory.listen("aaaaaaaa", "hand"); listener.listen(0)
        waiting = []
        try:
            while True: waiting.append(directory.connect("aaaaaaaa", "hand"))
        except BlockingIOError:
            print(waiting[0].gettimeout())
        """
    command = [sys.executable, "-c", textwrap.dedent(program), str(directory.path)]
    root = str(Path(__file__).parents[2])
    environ = os.environ | {"PYTHONPATH": root}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, env=environ)
    assert ended.stdout == "None\n"


def test_nobody_sees_a_socket_before_it_listens(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    listen = socket.socket.listen

    def look_first(self: socket.socket, backlog: int) -> None:
        directory.clear("hand")  # as every sibling does that starts at the same time
        seen.append(directory.workers("hand"))
        listen(self, backlog)

    monkeypatch.setattr(socket.socket, "listen", look_first)
    directory.listen(ANN, "hand").close()
    assert seen == [[]] and directory.workers("hand") == [ANN]


def test_removing_what_is_not_there_does_nothing(directory: Directory) -> None:
    directory.remove(ANN, "hand")


def test_it_can_be_opened_and_closed_again(directory: Directory) -> None:
    directory.open()
    directory.close()
    directory.close()
    directory.open()
    assert directory.workers("hand") == []
