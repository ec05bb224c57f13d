"""The bucket store against bad networks and bad servers, and what it never tells."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import urllib3
from conftest import make_settings
from helpers import FakeModel, FakePool, make_driver, make_worker, shot, shots, undisturbed
from s3_proxy import ALWAYS, Fault, Proxy

from farm.cli import main
from farm.config import load
from farm.errors import BadInput, FarmError, NotFound, StoreAway, StoreError
from farm.plan.plan import make_plan
from farm.store import s3
from farm.store.s3 import S3Store
from farm.store.s3_place import Place
from farm.values import check

BIG = os.urandom(3 << 20)
MANY = bytes(range(256)) * 40_000  # more than one part


@pytest.fixture
def proxy(place: Place) -> Iterator[Proxy]:
    if place.secure:
        pytest.skip("the proxy speaks plain HTTP")
    proxy = Proxy(place.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def store(place: Place, proxy: Proxy) -> S3Store:
    """A store behind the proxy."""
    return S3Store(replace(place, endpoint=proxy.endpoint), timeout_s=0.4, tries=4)


@pytest.fixture
def direct(place: Place) -> S3Store:
    return S3Store(place)


def every_call(store: S3Store, folder: Path) -> dict[str, Callable[[], object]]:
    (folder / "file").write_bytes(b"file")
    return {
        "put": lambda: store.put("blobs/new", b"new"),
        "put a file": lambda: store.put("blobs/new", folder / "file"),
        "create": lambda: store.create_if_absent("commits/k/new", b"new"),
        "get": lambda: store.get("blobs/a"),
        "fetch": lambda: store.fetch("blobs/a", folder / "copy"),
        "stat": lambda: store.stat("blobs/a"),
        "list": lambda: list(store.list("blobs/")),
        "delete": lambda: store.delete("blobs/none"),
    }


CALLS = ("put", "put a file", "create", "get", "fetch", "stat", "list", "delete")


@pytest.mark.fault("a bucket that is slow, cuts connections or answers 503 and 429", "waited out in the call")
@pytest.mark.parametrize("call", [call for call in CALLS if "file" not in call])
@pytest.mark.parametrize(
    "faults",
    [
        [Fault("delay", seconds=0.1)],
        [Fault("delay", seconds=0.6)],  # longer than it is waited for
        [Fault("reset")],
        [Fault("answer", status=503), Fault("answer", status=429)],
    ],
    ids=["slow", "too slow", "reset", "busy"],
)
def test_what_passes_is_waited_out(
    store: S3Store, direct: S3Store, proxy: Proxy, tmp_path: Path, faults: list[Fault], call: str
) -> None:
    direct.put("blobs/a", b"a")
    wanted = every_call(direct, tmp_path)[call]() if call != "create" else True
    proxy.plan(*map(replace, faults))
    assert every_call(store, tmp_path)[call]() == wanted


@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_stays_away_is_said_so_soon(
    store: S3Store, proxy: Proxy, tmp_path: Path, call: str
) -> None:
    proxy.plan(Fault("answer", times=ALWAYS, status=503))
    begun = time.monotonic()
    with pytest.raises(StoreAway, match=r"is away \(it .*503"):
        every_call(store, tmp_path)[call]()
    assert time.monotonic() - begun < 6
    assert not list(tmp_path.glob("*.part"))


def test_a_server_that_is_not_there(place: Place, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    away = S3Store(replace(place, endpoint=endpoint), tries=2)
    for call in every_call(away, tmp_path).values():
        with pytest.raises(StoreAway, match="connection refused"):
            call()
    with pytest.raises(StoreAway):
        away.check_writable()


def test_a_body_that_breaks_off_is_gone_on_with(
    store: S3Store, direct: S3Store, proxy: Proxy, tmp_path: Path
) -> None:
    direct.put("blobs/big", BIG)
    proxy.plan(Fault("truncate", method="GET", contains="big", share=0.5))
    store.fetch("blobs/big", tmp_path / "big")
    assert (tmp_path / "big").read_bytes() == BIG
    ranges = [headers.get("Range") for _, path, headers in proxy.seen if "big" in path]
    assert ranges[0] is None
    assert [int(str(text).removeprefix("bytes=").rstrip("-")) >= 1 << 20 for text in ranges[1:]] == [True]


@pytest.mark.fault("a download that breaks off", "gone on with, or a clear failure; a half is never used")
def test_a_short_body_is_never_handed_on(
    store: S3Store, direct: S3Store, proxy: Proxy, tmp_path: Path
) -> None:
    direct.put("blobs/a", b"four score and seven")
    (tmp_path / "copy").write_bytes(b"old")
    proxy.plan(Fault("truncate", times=ALWAYS, method="GET", contains="blobs/a", share=0.0))
    for call in (lambda: store.get("blobs/a"), lambda: store.fetch("blobs/a", tmp_path / "copy")):
        with pytest.raises(StoreAway):
            call()
    assert (tmp_path / "copy").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_halves_of_two_objects_are_not_put_together(store: S3Store, direct: S3Store, proxy: Proxy) -> None:
    direct.put("films/x/film", BIG)
    other = BIG[::-1]
    proxy.plan(
        Fault("truncate", method="GET", contains="film", then=lambda: direct.put("films/x/film", other))
    )
    assert store.get("films/x/film") == other


def test_the_winner_whose_reply_is_lost_has_won(store: S3Store, direct: S3Store, proxy: Proxy) -> None:
    proxy.plan(Fault("drop", method="PUT"))
    assert store.create_if_absent("journal/0", b"run a") is True
    assert store.create_if_absent("journal/0", b"run b") is False
    assert direct.get("journal/0") == b"run a"
    # A loser that hears nothing at first has lost all the same.
    proxy.plan(Fault("drop", method="PUT", times=2))
    assert store.create_if_absent("journal/0", b"run b") is False
    # A server may say that it failed and have done it.
    proxy.plan(Fault("drop", method="PUT"), Fault("answer", method="PUT", status=500))
    assert store.create_if_absent("journal/1", b"run a") is True


def test_a_conflict_is_tried_again(store: S3Store, proxy: Proxy) -> None:
    conflict = b"<Error><Code>ConditionalRequestConflict</Code></Error>"
    proxy.plan(Fault("answer", times=2, method="PUT", status=409, body=conflict))
    assert store.create_if_absent("journal/0", b"x") is True


def test_of_writers_over_a_bad_line_exactly_one_wins(store: S3Store, direct: S3Store, proxy: Proxy) -> None:
    proxy.plan(
        Fault("drop", method="PUT", times=4), Fault("reset", times=3), Fault("answer", times=3, status=503)
    )
    wins: list[bytes] = []

    def create(name: bytes) -> None:
        if store.create_if_absent("journal/0", name):
            wins.append(name)

    threads = [threading.Thread(target=create, args=(b"writer %d" % number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wins == [direct.get("journal/0")]


def test_a_large_upload_whose_end_is_not_heard(
    store: S3Store, direct: S3Store, proxy: Proxy, tmp_path: Path
) -> None:
    (tmp_path / "many").write_bytes(MANY)
    proxy.plan(Fault("drop", method="POST", contains="uploadId"), Fault("reset", method="PUT"))
    store.put("blobs/many", tmp_path / "many")
    assert direct.get("blobs/many") == MANY


def test_a_large_upload_that_fails_at_its_end_is_not_believed(store: S3Store, proxy: Proxy) -> None:
    failed = b"<Error><Code>InternalError</Code></Error>"
    proxy.plan(Fault("replace", method="POST", contains="uploadId", body=failed, then=lambda: None))
    store.put("blobs/many", MANY)  # the server has done it: the object bears the mark
    proxy.plan(Fault("answer", method="POST", contains="uploadId", status=200, body=failed))
    with pytest.raises(StoreAway, match="not completed"):
        store.put("blobs/more", MANY)
    assert store.stat("blobs/more") is None


def test_a_store_in_which_two_can_win_is_refused(store: S3Store, proxy: Proxy) -> None:
    store.check_writable()
    proxy.plan(Fault("strip", times=ALWAYS))
    with pytest.raises(
        BadInput, match=r"cannot keep films: of 8 writers of one key \d won, and just one may"
    ):
        store.check_writable()
    not_known = b"<Error><Code>NotImplemented</Code></Error>"
    proxy.plan(Fault("answer", times=ALWAYS, method="PUT", status=501, body=not_known))
    with pytest.raises(BadInput, match="needs an S3 with conditional writes"):
        store.check_writable()
    assert list(store.list("")) == []


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (403, "InvalidAccessKeyId", "does not accept the credentials"),
        (403, "SignatureDoesNotMatch", "does not accept the credentials"),
        (403, "AccessDenied", "may not read, write, list and delete there"),
        (403, "RequestTimeTooSkewed", "the clocks of this machine and of"),
        (404, "NoSuchBucket", "say store.bucket=NAME"),
        (400, "AuthorizationHeaderMalformed", "say store.region=NAME"),
        (418, "Teapot", r"refuses what it is asked \(HTTP 418 Teapot\)"),
    ],
)
def test_what_is_set_wrong_is_said_in_one_sentence(
    store: S3Store, proxy: Proxy, status: int, code: str, sentence: str
) -> None:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    proxy.plan(Fault("answer", times=ALWAYS, status=status, body=body))
    for call in (
        store.check_writable,
        lambda: store.put("a", b"a"),
        lambda: store.create_if_absent("a", b"a"),
    ):
        with pytest.raises(FarmError, match=sentence) as caught:
            call()
        assert not isinstance(caught.value, StoreAway)
        assert "\n" not in str(caught.value)


def test_what_is_no_s3_is_said_so(store: S3Store, proxy: Proxy) -> None:
    proxy.plan(Fault("answer", times=ALWAYS, status=200, body=b"<html>Welcome</html>"))
    with pytest.raises(StoreError, match="not as an S3 does"):
        list(store.list(""))


def test_no_bucket_and_no_trust(place: Place) -> None:
    with pytest.raises(BadInput, match="there is no bucket longtake-none"):
        S3Store(replace(place, bucket="longtake-none")).check_writable()
    with pytest.raises(NotFound):
        S3Store(place).get("blobs/none")
    if not place.secure:
        with pytest.raises(BadInput, match=r"no trusted connection .*store\.secure=false"):
            S3Store(replace(place, secure=True), tries=1).check_writable()


def test_no_credentials(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(BadInput, match="there are no credentials for the store"):
        S3Store(place).check_writable()
    S3Store(place, file).check_writable()
    monkeypatch.setenv("MINIO_ACCESS_KEY", key)
    monkeypatch.setenv("MINIO_SECRET_KEY", secret)
    S3Store(place).check_writable()
    for text in ("", f"aws_secret_access_key = {secret}\n", f"[default]\nx = %{secret}\n[default]\n"):
        file.write_text(text)
        with pytest.raises(BadInput, match="holds no credentials") as caught:
            S3Store(place, file).check_writable()
        assert secret not in "".join(traceback.format_exception(caught.value))


def test_credentials_are_told_to_nobody(
    place: Place, proxy: Proxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    store = S3Store(replace(place, endpoint=proxy.endpoint), timeout_s=0.2, tries=2)
    denied = b"<Error><Code>AccessDenied</Code><Message>m</Message></Error>"
    faults = [
        Fault("reset", times=ALWAYS),
        Fault("answer", times=ALWAYS, status=503),
        Fault("answer", times=ALWAYS, status=403, body=denied),
        Fault("answer", times=ALWAYS, status=400, body=b"what?"),
        Fault("delay", times=ALWAYS, seconds=0.4),
        Fault("answer", times=0),
    ]
    for fault in faults:
        proxy.plan(fault)
        for call in every_call(store, tmp_path).values():
            try:
                told.append(repr(call()))
            except FarmError as error:
                told += [str(error), repr(error), *traceback.format_exception(error)]
    told += [repr(store), str(vars(store)), repr(store.place), repr(store.client), caplog.text]
    told += [str(vars(load(["store=minio", "store.endpoint=localhost:9000"]).store))]
    text = "\n".join(told)
    assert "PUT /longtake-tests/" in caplog.text, "nothing was logged that could have told"
    for secret in (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], "X-Amz-Signature="):
        assert secret not in text


def test_a_link_is_all_one_needs(direct: S3Store) -> None:
    direct.put("films/x/film.mp4", b"film")
    link = direct.link("films/x/film.mp4", 60)
    assert urllib3.request("GET", link).data == b"film"
    for seconds in (0, 8 * 86400):
        with pytest.raises(StoreError, match="1 second to 7 days"):
            direct.link("films/x/film.mp4", seconds)


def test_uploads_that_were_never_finished_are_cleared_away(direct: S3Store, place: Place) -> None:
    others = place.prefix.replace("/", "-other/", 1)
    for name in (f"{place.prefix}blobs/a", f"{place.prefix}blobs/b", f"{others}blobs/c"):
        direct.client._create_multipart_upload(place.bucket, name, {})
    # moto says of every upload that it was begun in 2010.
    assert direct.abort_stale_uploads(timedelta(days=36_500)) == 0
    assert direct.abort_stale_uploads(timedelta(seconds=-5)) == 2
    assert direct.abort_stale_uploads(timedelta(seconds=-5)) == 0


def test_what_else_lies_in_the_bucket_is_not_ours(direct: S3Store, place: Place) -> None:
    direct.put("blobs/a", b"a")
    for name in ("blobs/.hidden", "blobs/with space", "blobs/dir/"):
        direct.client.put_object(place.bucket, place.prefix + name, io.BytesIO(b""), 0)
    assert [info.key for info in direct.list("")] == ["blobs/a"]
    assert direct.locate("blobs/a") == f"s3://longtake-tests/{place.prefix}blobs/a"


def test_a_listing_of_several_pages(direct: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"journal/{number:09d}" for number in range(7)]
    for key in reversed(keys):
        direct.put(key, b"x")
    whole = direct.client._list_objects
    monkeypatch.setattr(
        direct.client, "_list_objects", lambda *args, **more: whole(*args, max_keys=2, **more)
    )
    assert [info.key for info in direct.list("journal/")] == keys


def test_a_file_that_cannot_be_read_leaves_the_old_object(direct: S3Store, tmp_path: Path) -> None:
    direct.put("blobs/a", b"old")
    with pytest.raises(StoreError, match="no such file"):
        direct.put("blobs/a", tmp_path / "there-is-no-such-file")
    with pytest.raises(StoreError, match="cannot write"):
        direct.fetch("blobs/a", tmp_path / "no-such-folder" / "copy")
    assert direct.get("blobs/a") == b"old"


def test_a_film_is_made_in_a_bucket(direct: S3Store, place: Place) -> None:
    plan = make_plan("film", shots(shot("1", 60), shot("2", 40)), make_settings())
    outcome = make_driver(plan, direct).render(lambda: FakePool(make_worker(direct)))
    assert outcome.uri == f"s3://longtake-tests/{place.prefix}films/film/film.mp4"
    assert len(direct.get("films/film/film.mp4").splitlines()) == plan.frames
    again = make_driver(plan, S3Store(place)).render(lambda: FakePool(make_worker(direct)))
    assert again.rendered == 0


class BadLine(Proxy):
    """Every fourth request meets one fault or another."""

    troubles = itertools.cycle(
        [
            Fault("answer", status=503),
            Fault("drop"),
            Fault("reset"),
            Fault("delay", seconds=0.6),  # longer than it is waited for
            Fault("truncate", method="GET", share=0.0),
        ]
    )

    def take(self, method: str, path: str, headers: dict[str, str]) -> Fault | None:
        super().take(method, path, headers)
        if len(self.seen) % 4:
            return None
        fault = next(self.troubles)
        return fault if fault.matches(method, path) else None


@pytest.mark.fault(
    "a store that answers 503, is slow, loses replies and cuts connections, all through a film",
    "the same film, nothing made twice",
)
def test_a_film_is_made_over_a_bad_line(place: Place) -> None:
    if place.secure:
        pytest.skip("the proxy speaks plain HTTP")
    line, plan = BadLine(place.endpoint), make_plan("film", shots(shot("1", 60)), make_settings())
    try:
        store = S3Store(replace(place, endpoint=line.endpoint), timeout_s=0.4, tries=8)
        model = FakeModel()
        outcome = make_driver(plan, store).render(lambda: FakePool(make_worker(store, model)))
    finally:
        line.close()
    assert len(line.seen) > 60
    assert outcome.rendered == len(model.denoised) == 3
    assert S3Store(place).get("films/film/film.mp4") == undisturbed(plan)


def test_the_command_line_works_on_a_bucket(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [
        "store=minio",
        f"store.endpoint={place.endpoint}",
        f"store.bucket={place.bucket}",
        f"store.prefix={place.prefix}",
        f"store.secure={str(place.secure).lower()}",
    ]
    Path("good.fountain").write_text("EXT. SEA - DAY\n\nA red boat sails on. [[2s]]\n")
    assert main(["status", *settings]) == 0
    assert capsys.readouterr().out == "no films yet\n"
    assert main(["plan", "good.fountain", "--json", *settings]) == 0
    plan = json.loads(capsys.readouterr().out)
    store = S3Store(place)
    store.put("films/good/plan.json", json.dumps(plan).encode())
    assert main(["status", "good", *settings]) == 0
    assert "good: stopped, 0 of " in capsys.readouterr().out
    assert main(["doctor", "--json", "cluster=inline", *settings]) == 0
    checks = {item["name"]: item for item in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["store"]["state"] == "ok"
    assert checks["store"]["found"].startswith(f"s3://longtake-tests/{place.prefix.rstrip('/')} at ")
    store.put("films/good/script.json", b'{"script": "another.fountain"}')
    assert main(["render", "good.fountain", *settings]) == 2
    assert "belongs to the script another.fountain" in capsys.readouterr().err
    assert not Path("renders").exists()


def test_doctor_tells_what_is_wrong_with_a_bucket(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [f"store.endpoint={place.endpoint}", f"store.secure={str(place.secure).lower()}"]
    assert main(["doctor", "cluster=inline", "store=minio", "store.bucket=longtake-none", *settings]) == 1
    assert "there is no bucket longtake-none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ([], "store.endpoint is not set"),
        (["store.endpoint=http://localhost:9000"], "give host and port alone"),
        (["store.endpoint=localhost:9000", "store.bucket=Films"], "small letters"),
        (["store.endpoint=localhost:9000", "store.prefix=../x"], "names with slashes"),
        (["store.endpoint=localhost:9000", "store.region='a b'"], "such as eu-central-1"),
        (["store.endpoint=localhost:9000", "store.credentials=''"], "store.credentials is empty"),
        (["store.endpoint=http://user:hush@localhost"], "takes no user and password"),
        (["store.endpoint='user:hu!sh#@localhost"], "takes no user and password"),
        (["store.secret_key=hush"], "there is no key 'store.secret_key'"),
    ],
)
def test_settings_of_a_bucket_that_cannot_be(settings: list[str], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence) as caught:
        check(load(["store=minio", *settings]))
    assert "hush" not in str(caught.value)
    assert "hu!sh" not in str(caught.value)


def test_a_large_object_has_parts_enough() -> None:
    """An upload may have ten thousand parts; each is a multiple of what small ones have."""
    sizes: list[int] = []

    class Client:
        def put_object(self, *_: object, part_size: int, **__: object) -> None:
            sizes.append(part_size)

    store = S3Store.__new__(S3Store)
    store.place, store.client = Place(endpoint="x", bucket="b"), Client()  # type: ignore[assignment]
    store._bears = lambda *_: True  # type: ignore[method-assign]
    for size in (1, s3.PART_BYTES * s3.MOST_PARTS, s3.PART_BYTES * s3.MOST_PARTS + 1):
        store._upload("a", io.BytesIO(), size)
    assert sizes == [s3.PART_BYTES, s3.PART_BYTES, 2 * s3.PART_BYTES]
