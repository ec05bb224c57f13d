"""Resuming a long film in a bucket: how long a driver takes to know what is done.

A film of 5,000 tasks, whose journal holds 10,000 events, lies in a bucket; all but the last twentieth of its
shots are done. Its commits and blobs are made up and tiny, since a resume does not read what it finds. Timed
is a driver from its construction until it has taken stock and journalled that, with the film's snapshot
and without, in turn. The snapshot is one as a killed driver leaves it behind: the last tasks are not in it.

Unless a server is named, one that this script starts speaks just enough S3, out of memory, and takes ten
milliseconds for an answer, as a server near by does, so that it is the driver that is timed.

`ratio` is the time without the snapshot over that with it (bar: at most 5 seconds with it). `processor` is
the driver's own processor time, which a busy machine changes less.

    python scripts/bench_resume.py
    python scripts/bench_resume.py --tasks 50000 --runs 1
    python scripts/bench_resume.py --endpoint localhost:9000 --bucket longtake    # a real server, plain HTTP
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import threading
import time
import uuid
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from farm import config
from farm.clock import SystemClock
from farm.job import events
from farm.job.state import State
from farm.ledger import encode_commit
from farm.plan.plan import Plan, make_plan
from farm.plan.spec import Weights
from farm.plan.task import Task
from farm.ports import MAIN_OUTPUT, BlobRef, BlobStore, Commit, ObjectInfo
from farm.run import Driver
from farm.script.model import Shot, ShotList, Source
from farm.snapshot import Kept, snapshot_key, write_snapshot
from farm.store.s3 import S3Store
from farm.store.s3_place import Place

BAR_SECONDS, BAR_TASKS = 5, 5_000
DONE = 0.95  # of the shots
LATE = 100  # tasks that were done after the snapshot
FRAMES = 128  # of a shot: five segments, seven tasks
TASKS_A_SHOT = 7
WRITERS = 12
LATENCY_S = 0.01
PAGE = 1000  # names in an answer to a list


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as a store needs that is not collected, over a dictionary; bodies come in one piece."""

    protocol_version = "HTTP/1.1"
    objects: ClassVar[dict[str, bytes]] = {}
    order: ClassVar[list[str]] = []
    lock = threading.Lock()

    def log_message(self, *_: object) -> None: ...

    def answer(self, status: int, body: bytes = b"", size: int | None = None) -> None:
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Last-Modified", self.date_time_string())
        self.send_header("ETag", '"0"')
        self.end_headers()
        self.wfile.write(body)

    def ask(self) -> tuple[str, dict[str, str]]:
        """The object's name and the query, after as long as a server near by takes."""
        time.sleep(LATENCY_S)
        parts = urlsplit(self.path)
        return unquote(parts.path).lstrip("/").partition("/")[2], dict(
            parse_qsl(parts.query, keep_blank_values=True)
        )

    def do_GET(self) -> None:
        name, query = self.ask()
        if "location" in query:
            self.answer(200, b"<LocationConstraint/>")
        elif "list-type" in query:
            self.answer(200, self.page(query["prefix"], query.get("continuation-token", "")))
        elif (data := self.objects.get(name)) is not None:
            self.answer(200, data)
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def page(self, prefix: str, after: str) -> bytes:
        with self.lock:
            begin = bisect_right(self.order, after) if after else bisect_left(self.order, prefix)
            end = bisect_left(self.order, prefix + "\U0010ffff")
            names = self.order[begin : min(end, begin + PAGE)]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        items = [
            f"<Contents><Key>{name}</Key><LastModified>{now}</LastModified><ETag>0</ETag>"
            f"<Size>{len(self.objects[name])}</Size></Contents>"
            for name in names
        ]
        more = begin + PAGE < end
        token = f"<NextContinuationToken>{names[-1]}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><Name>b</Name><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
            f"{''.join(items)}</ListBucketResult>"
        ).encode()

    def do_HEAD(self) -> None:
        name, _ = self.ask()
        data = self.objects.get(name)
        self.answer(404 if data is None else 200, size=len(data or b""))

    def do_PUT(self) -> None:
        name, _ = self.ask()
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.lock:
            if self.headers.get("If-None-Match") and name in self.objects:
                status = 412
            else:
                status = 200
                self.keep(name, data)
        self.answer(status)

    @classmethod
    def keep(cls, name: str, data: bytes) -> None:
        if name not in cls.objects:
            insort(cls.order, name)
        cls.objects[name] = data

    def do_DELETE(self) -> None:
        name, _ = self.ask()
        with self.lock:
            if self.objects.pop(name, None) is not None:
                self.order.remove(name)
        self.answer(204)


def serve(pipe: Connection, prefix: str, tasks: int) -> None:
    """Serve S3 in this process until it is ended, with a film in the bucket."""
    for key, data in film(tasks, time.time()):
        Bucket.keep(prefix + key, data)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    server.daemon_threads = True
    pipe.send(f"127.0.0.1:{server.server_address[1]}")
    server.serve_forever()


class Counted:
    """A store, and how often it was asked. A list counts once for each thousand that it gives, as in S3."""

    def __init__(self, store: BlobStore) -> None:
        self.store, self.calls = store, 0

    def put(self, key: str, source: bytes | Path) -> None:
        self.calls += 1
        self.store.put(key, source)

    def create_if_absent(self, key: str, data: bytes) -> bool:
        self.calls += 1
        return self.store.create_if_absent(key, data)

    def get(self, key: str) -> bytes:
        self.calls += 1
        return self.store.get(key)

    def fetch(self, key: str, target: Path) -> None:
        self.calls += 1
        self.store.fetch(key, target)

    def stat(self, key: str) -> ObjectInfo | None:
        self.calls += 1
        return self.store.stat(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        for number, info in enumerate(self.store.list(prefix)):
            self.calls += number > 0 and number % 1000 == 0
            yield info
        self.calls += 1

    def delete(self, key: str) -> None:
        self.calls += 1
        self.store.delete(key)

    def touch(self, key: str) -> None:
        self.calls += 1
        self.store.touch(key)

    def locate(self, key: str) -> str:
        return self.store.locate(key)


class Silent:
    """An observer that says nothing."""

    def begin(self, plan: Plan, state: State) -> None: ...

    def event(self, event: events.Event, state: State) -> None: ...


def plan_of(tasks: int) -> Plan:
    source = Source(file="film.fountain", first=1, last=1)
    shots = [
        Shot(id=str(number), scene="1", prompt=f"prompt {number}", frames=FRAMES, source=source)
        for number in range(1, max(2, tasks // TASKS_A_SHOT) + 1)
    ]
    settings = config.settings(config.load([]), Weights(source="papercut", identity="sha256:0"), 2)
    return make_plan("film", ShotList(title=None, shots=tuple(shots)), settings)


def done_tasks(plan: Plan) -> list[Task]:
    last = round(len(plan.shots) * DONE)
    return [task for task in plan.tasks[:-1] if task.shot is None or int(task.shot) <= last]


def output_of(task: Task) -> str:
    return hashlib.sha256(task.id.encode()).hexdigest()


def commit_of(task: Task, now: float) -> Commit:
    digest = output_of(task)
    facts = {"frames": FRAMES, "differences": [round(0.001 * number, 3) for number in range(FRAMES - 1)]}
    return Commit(
        key=task.key,
        generation=0,
        kind=task.kind.value,
        outputs={MAIN_OUTPUT[task.kind.value]: BlobRef(key=f"blobs/{digest}", sha256=digest, num_bytes=1)},
        inputs=tuple(output_of(need) for need in task.after),
        worker="worker-0",
        started=now,
        seconds=1.0,
        facts=facts if task.kind.value == "finish" else {},
    )


def film(tasks: int, now: float) -> Iterator[tuple[str, bytes]]:
    """What a driver and its workers have written, by key."""
    for number, task in enumerate(done_tasks(plan_of(tasks))):
        commit = commit_of(task, now)
        yield commit.main.key, b"x"
        yield f"commits/{commit.key}/000000", encode_commit(commit)
        joined = events.Joined(at=now, worker=f"worker-{number}")
        finished = events.Finished(
            at=now, worker=joined.worker, task=task.id, attempt=1, generation=0, output=commit.main.sha256
        )
        yield f"films/film/journal/{number:09d}", events.encode([joined, finished])


def resume(plan: Plan, store: BlobStore, snapshot: bytes | None) -> dict[str, float]:
    """How long it takes a driver to take stock, and how often it asks the store."""
    if snapshot is None:
        store.delete(snapshot_key(plan.film))
    else:
        store.put(snapshot_key(plan.film), snapshot)
    counted = Counted(store)
    began, busy = time.perf_counter(), time.process_time()
    driver = Driver(plan, store=counted, clock=SystemClock(), observer=Silent(), stopped=lambda: False)
    driver.begin()
    seconds, processor = time.perf_counter() - began, time.process_time() - busy
    assert len(driver.done) == len(done_tasks(plan)), "not all that is done was found"
    return {"seconds": seconds, "processor": processor, "calls": counted.calls}


def measure(tasks: int, runs: int, store: BlobStore) -> dict[str, Any]:
    plan, now = plan_of(tasks), time.time()
    commits = [commit_of(task, now) for task in done_tasks(plan)]
    early = commits[: -min(LATE, len(commits) // 2)]
    write_snapshot(store, plan.film, (Kept(commit, now) for commit in early))
    snapshot = store.get(snapshot_key(plan.film))
    ways = {"with snapshot": snapshot, "without": None}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for run in range(runs):
        for name in sorted(ways, reverse=bool(run % 2)):  # whoever comes first changes
            found[name].append(resume(plan, store, ways[name]))
    seconds = {name: median(item["seconds"] for item in items) for name, items in found.items()}
    result: dict[str, Any] = {
        "ratio": round(seconds["without"] / seconds["with snapshot"], 2),
        "compared": f"time to take stock of {len(commits):,} finished tasks of {len(plan.tasks):,}, without "
        "the film's snapshot over with it",
        "tasks": len(plan.tasks),
        "events": 2 * len(commits),
        "snapshot_bytes": len(snapshot),
        "runs": runs,
        "rows": [
            {
                "way": name,
                "seconds": round(seconds[name], 3),
                "slowest": round(max(item["seconds"] for item in found[name]), 3),
                "processor": round(median(item["processor"] for item in found[name]), 3),
                "calls": round(median(item["calls"] for item in found[name])),
            }
            for name in ways
        ],
    }
    if tasks >= BAR_TASKS:
        result["bar"] = {"seconds": BAR_SECONDS}
        result["met"] = seconds["with snapshot"] <= BAR_SECONDS
    return result


def compare(tasks: int, runs: int, endpoint: str | None, bucket: str) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = None
    prefix = f"bench-resume/{uuid.uuid4().hex}/"
    if endpoint is None:
        os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
        server = context.Process(target=serve, args=(theirs, prefix, tasks), daemon=True)
        server.start()
        endpoint = str(ours.recv())
    store = S3Store(Place(endpoint=endpoint, bucket=bucket, prefix=prefix, secure=False))
    try:
        if server is None:
            with ThreadPoolExecutor(WRITERS) as pool:
                for _ in pool.map(lambda item: store.put(*item), film(tasks, time.time())):
                    pass
        return measure(tasks, runs, store)
    finally:
        if server is not None:
            server.terminate()
            server.join()
        else:  # nothing of it is left behind
            with ThreadPoolExecutor(WRITERS) as pool:
                for _ in pool.map(store.delete, [info.key for info in store.list("")]):
                    pass


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--tasks", type=int, default=BAR_TASKS, help="of the film, about")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--endpoint", help="host and port of a real server; credentials from AWS_…")
    parser.add_argument("--bucket", default="longtake", help="a bucket of it")
    args = parser.parse_args()
    if args.tasks < 1 or args.runs < 1:
        parser.error("give at least one task and one run")
    result = compare(args.tasks, args.runs, args.endpoint, args.bucket)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{'way':<14} {'seconds':>8} {'slowest':>8} {'processor':>10} {'calls':>7}")
    for row in result["rows"]:
        print(
            f"{row['way']:<14} {row['seconds']:>8} {row['slowest']:>8} {row['processor']:>10} "
            f"{row['calls']:>7,}"
        )
    print(f"snapshot: {result['snapshot_bytes'] / 1e6:.1f} MB; journal: {result['events']:,} events")
    print(f"ratio {result['ratio']}: {result['compared']}")
    if "met" in result:
        print(f"bar {'met' if result['met'] else 'missed'}: at most {BAR_SECONDS} s with the snapshot")


if __name__ == "__main__":
    main()
