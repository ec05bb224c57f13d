"""The webhook, with a real server: what arrives, what is tried again, and that its address stays secret."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import make_settings
from helpers import FakePool, make_driver, make_worker, shot, shots

from farm import webhook
from farm.errors import BadInput
from farm.plan.plan import make_plan
from farm.store.memory import MemoryStore
from farm.webhook import VARIABLE, Webhook, film_event, night_event

TOKEN = "tok3n-nobody-may-see"
EVENT = {"event": "film.finished", "film": "été"}


class Server(ThreadingHTTPServer):
    """Gives its `answers` in turn, and then 200; keeps what it was sent."""

    block_on_close = True
    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[int] = []
        self.got: list[tuple[str, dict[str, str], dict]] = []
        self.hold = threading.Event()
        self.hold.set()

    def url(self, login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.server_port}/hooks/{TOKEN}?key={TOKEN}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        answer = self.server.answers.pop(0) if self.server.answers else 200
        self.server.hold.wait(20)
        try:
            self.send_response(answer)
            if answer == 302:
                self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()
        except OSError:  # the other side has gone
            pass

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        served.hold.set()
        served.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "BACKOFF_S", 0.01)


@pytest.fixture(autouse=True)
def secret(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Whatever happens, nothing of the address is written anywhere but its host."""
    caplog.set_level(logging.DEBUG)
    yield
    out, err = capfd.readouterr()
    logged = [record.getMessage() for record in caplog.get_records("call")]
    for text in (*logged, out, err):
        assert TOKEN not in text
        assert "hooks" not in text


def post(url: str, monkeypatch: pytest.MonkeyPatch, *events: dict) -> list[str]:
    """Send events to an address, and return what was told of it."""
    told: list[str] = []
    monkeypatch.setenv(VARIABLE, url)
    hook = Webhook.from_environment(told.append)
    for event in events or (EVENT,):
        hook.send(event)
    hook.close(20)
    assert TOKEN not in repr(hook) + "".join(told)
    assert all(TOKEN not in thread.name for thread in threading.enumerate())
    return told


def test_events_arrive_in_their_order(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [{"event": "film.finished", "film": str(number)} for number in range(5)]
    assert post(server.url(), monkeypatch, EVENT, *events) == []
    assert [body for _, _, body in server.got] == [EVENT, *events]
    path, headers, _ = server.got[0]
    assert path == f"/hooks/{TOKEN}?key={TOKEN}"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("longtake/")
    assert "authorization" not in headers


def test_a_login_in_the_address_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert post(server.url(f"me:{TOKEN}%21@"), monkeypatch) == []
    kind, _, login = server.got[0][1]["authorization"].partition(" ")
    assert (kind, base64.b64decode(login).decode()) == ("Basic", f"me:{TOKEN}!")


@pytest.mark.parametrize("answer", [429, 500, 503])
def test_what_may_pass_is_tried_again(server: Server, monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    server.answers = [answer]
    assert post(server.url(), monkeypatch) == []
    assert [body for _, _, body in server.got] == [EVENT, EVENT]


@pytest.mark.parametrize(("answer", "times"), [(302, 1), (404, 1), (500, 4)])
def test_what_does_not_pass_is_told_once(
    server: Server, monkeypatch: pytest.MonkeyPatch, answer: int, times: int
) -> None:
    server.answers = [answer] * times
    told = post(server.url(), monkeypatch, EVENT, {"event": "night.finished"})
    assert told == [f"the webhook at 127.0.0.1 was not told of film.finished: it answered {answer}"]
    assert len(server.got) == times + 1, "the next event is sent all the same"
    assert {path for path, _, _ in server.got} == {f"/hooks/{TOKEN}?key={TOKEN}"}, "no redirect is followed"


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, and deaf
        taken.bind(("127.0.0.1", 0))
        told = post(f"http://127.0.0.1:{taken.getsockname()[1]}/hooks/{TOKEN}", monkeypatch)
    assert told == ["the webhook at 127.0.0.1 was not told of film.finished: it cannot be reached"]


def test_what_cannot_be_written_as_json_harms_nobody(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    told = post(server.url(), monkeypatch, {"event": "film.finished", "film": object()}, EVENT)
    assert told == ["the webhook at 127.0.0.1 was not told of film.finished: TypeError"]
    assert [body for _, _, body in server.got] == [EVENT]


def test_a_server_that_does_not_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.2)
    server.hold.clear()
    told = post(server.url(), monkeypatch)
    assert told == ["the webhook at 127.0.0.1 was not told of film.finished: no answer within 0.2 seconds"]


def test_nobody_waits_for_a_slow_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.hold.clear()
    told: list[str] = []
    monkeypatch.setenv(VARIABLE, server.url())
    hook = Webhook.from_environment(told.append)
    began = time.monotonic()
    for _ in range(100):
        hook.send(EVENT)
    assert time.monotonic() - began < 1
    hook.close(0.2)
    assert time.monotonic() - began < 2
    assert told == ["the webhook at 127.0.0.1 did not take all it was told within 0.2 seconds"]
    server.answers = [404] * 100
    server.hold.set()
    hook.close(20)
    assert len(told) == 1, "who has stopped waiting is told no more"
    assert len(server.got) == 100


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_an_address_there_is_no_webhook(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    assert Webhook.from_environment(print) is None


@pytest.mark.parametrize(
    "value",
    [
        TOKEN,
        f"ftp://host/{TOKEN}",
        f"file:///etc/{TOKEN}",
        f"https:///{TOKEN}",
        f"//host/{TOKEN}",
        f"http://host:99999/{TOKEN}",
        f"http://[::{TOKEN}/",
    ],
)
def test_what_is_no_web_address_is_refused_unseen(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(BadInput, match="LONGTAKE_WEBHOOK is no web address") as caught:
        Webhook.from_environment(print)
    error = caught.value
    assert error.__context__ is None, "a traceback would show it"
    assert TOKEN not in "".join(traceback.format_exception_only(error))


def test_what_is_said_of_a_film(store: MemoryStore) -> None:
    plan = make_plan("film", shots(shot("1", 60)), make_settings())
    outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store)))
    assert film_event(outcome, state="done", message="", at=0.0) == {
        "event": "film.finished",
        "film": "film",
        "state": "done",
        "uri": "memory:films/film/film.mp4",
        "message": "",
        "rendered": 3,
        "reused": 0,
        "retried": 0,
        "wall_s": outcome.wall_s,
        "at": "1970-01-01T00:00:00+00:00",
    }
    failed = film_event(outcome, state="stopped", message="asked to", at=0.0)
    assert (failed["event"], failed["state"], failed["uri"]) == ("film.failed", "stopped", None)
    json.dumps(failed)


def test_what_is_said_of_a_night() -> None:
    totals = {"films": 3, "done": 2, "rendered": 5, "reused": 1, "retried": 0}
    event = night_event({"night": "n", "totals": totals, "wall_s": 9.5}, uri="s3://b/n", at=0.0)
    assert (event["event"], event["state"]) == ("night.finished", "unfinished")
    assert (event["message"], event["rendered"], event["wall_s"]) == ("2 of 3 films are done", 5, 9.5)
