"""Processes that are remembered by id: started, known again, stopped, killed.

Run by pytest.
"""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

from realparts import processes


def test_a_process_is_known_again_by_its_name_and_stopped(tmp_path: Path) -> None:
    pid = processes.start("sleeper", ["tail", "-f", "/dev/null"], tmp_path)
    assert processes.pid_of("sleeper", tmp_path) == pid
    processes.stop("sleeper", tmp_path)
    assert processes.pid_of("sleeper", tmp_path) is None
    assert not Path(f"/proc/{pid}").exists()


def test_one_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; echo ready; while :; do read -r line < /dev/zero; done"
    processes.start("stubborn", ["sh", "-c", script], tmp_path)
    processes.stop("stubborn", tmp_path, seconds=0.2)
    assert processes.pid_of("stubborn", tmp_path) is None


def test_another_process_with_the_same_id_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "stranger.pid").write_text(f"{os.getpid()} 1\n")
    assert processes.pid_of("stranger", tmp_path) is None
    processes.kill("stranger", tmp_path)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    port = processes.free_port()
    assert processes.is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not processes.is_free(port)


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with processes.exclusively(tmp_path / "lock"):
            order.append("second")

    with processes.exclusively(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
