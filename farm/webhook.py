"""Tells an address on the web what became of a film or a night.

The address comes from the environment alone and is a secret, since it often holds a token: of all of it,
only the host is ever named.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any
from urllib.parse import unquote

import urllib3
from urllib3 import exceptions
from urllib3.util import Retry, Timeout, Url, make_headers, parse_url

from farm import __version__
from farm.errors import BadInput
from farm.run import Outcome

VARIABLE = "LONGTAKE_WEBHOOK"
TIMEOUT_S = 10.0
RETRIES, BACKOFF_S = 3, 1.0
_TRY_AGAIN = (429, 500, 502, 503, 504)
_THREAD = "longtake-webhook"
_LOGGERS = ("urllib3.connectionpool", "urllib3.connection", "urllib3.poolmanager", "urllib3.util.retry")


class Webhook:
    """Posts events as JSON, one after another, while others go on with their work.

    An event can arrive twice, where the answer to it was lost. One that cannot be delivered is told to
    `tell`, which is called from another thread.
    """

    def __init__(self, address: Url, tell: Callable[[str], None]) -> None:
        self.host = address.host or ""
        self._tell = tell
        self._address = address._replace(auth=None, fragment=None).url
        login = unquote(address.auth) if address.auth else None
        self._headers = make_headers(user_agent=f"longtake/{__version__}", basic_auth=login)
        self._headers["content-type"] = "application/json"
        self._events: SimpleQueue[Mapping[str, Any] | None] = SimpleQueue()
        self._given_up = False
        self._thread = threading.Thread(target=self._deliver, name=_THREAD, daemon=True)
        for name in _LOGGERS:  # they write whole addresses
            logging.getLogger(name).addFilter(_not_ours)
        self._thread.start()

    @staticmethod
    def from_environment(tell: Callable[[str], None]) -> Webhook | None:
        """The webhook that the environment names, if it does. Raises BadInput for what is no web address."""
        text = os.environ.get(VARIABLE, "").strip()
        if not text:
            return None
        try:
            address = parse_url(text)
        except exceptions.LocationParseError:
            address = Url()
        if address.scheme not in ("http", "https") or not address.host:
            # Not a word of it: whatever it is, it may be a secret.
            raise BadInput(f"{VARIABLE} is no web address: give one that begins with https:// or http://")
        return Webhook(address, tell)

    def send(self, event: Mapping[str, Any]) -> None:
        """Have an event posted; returns at once."""
        self._events.put(event)

    def close(self, timeout: float) -> None:
        """Wait, for so many seconds at most, until everything is delivered."""
        self._events.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._given_up = True
            self._tell(f"the webhook at {self.host} did not take all it was told within {timeout:g} seconds")

    def _deliver(self) -> None:
        with urllib3.PoolManager() as pool:
            while (event := self._events.get()) is not None:
                problem = self._post(pool, event)
                if problem is not None and not self._given_up:
                    what = event.get("event", "an event")
                    self._tell(f"the webhook at {self.host} was not told of {what}: {problem}")

    def _post(self, pool: urllib3.PoolManager, event: Mapping[str, Any]) -> str | None:
        """Post an event. Returns why it could not be, without a word of the address."""
        again = Retry(
            RETRIES,
            allowed_methods=None,  # also what is not idempotent
            status_forcelist=_TRY_AGAIN,
            backoff_factor=BACKOFF_S,
            raise_on_status=False,
            respect_retry_after_header=False,  # a day is too long to wait
        )
        try:
            response = pool.request(
                "POST",
                self._address,
                body=json.dumps(event, ensure_ascii=False).encode(),
                headers=self._headers,
                timeout=Timeout(total=TIMEOUT_S),
                retries=again,
                redirect=False,  # to where else a secret would go
                preload_content=False,
            )
            response.close()
        except exceptions.HTTPError as error:
            return _problem(error.reason if isinstance(error, exceptions.MaxRetryError) else error)
        except Exception as error:  # news that is not delivered must not cost anybody a film
            return type(error).__name__
        return None if response.status < 300 else f"it answered {response.status}"


def _not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD


def _problem(error: Exception | None) -> str:
    match error:
        case exceptions.NewConnectionError():  # which urllib3 counts among the timeouts
            return "it cannot be reached"
        case exceptions.TimeoutError():
            return f"no answer within {TIMEOUT_S:g} seconds"
        case exceptions.SSLError():
            return "no secure connection could be made"
        case _:
            return "the connection broke"


def film_event(outcome: Outcome, *, state: str, message: str, at: float) -> dict[str, Any]:
    """What is sent of a film that came to an end, at a time in seconds since the epoch."""
    done = state == "done"
    return {
        "event": "film.finished" if done else "film.failed",
        "film": outcome.plan.film,
        "state": state,
        "uri": outcome.uri if done else None,
        "message": message,
        "rendered": outcome.rendered,
        "reused": outcome.reused,
        "retried": outcome.retried,
        "wall_s": outcome.wall_s,
        "at": _utc(at),
    }


def night_event(report: Mapping[str, Any], *, uri: str, at: float) -> dict[str, Any]:
    """What is sent of a night that is over, by its report (farm/morning.py); `uri` is where its page is."""
    totals = report["totals"]
    return {
        "event": "night.finished",
        "night": report["night"],
        "state": "done" if totals["done"] == totals["films"] else "unfinished",
        "uri": uri,
        "message": f"{totals['done']} of {totals['films']} films are done",
        "rendered": totals["rendered"],
        "reused": totals["reused"],
        "retried": totals["retried"],
        "wall_s": report["wall_s"],
        "at": _utc(at),
    }


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
