"""Uploading to a bucket: the farm's store against the SDK alone.

A file is uploaded by `farm.store.s3.S3Store.put` and by the `minio` SDK's own `fput_object`, in turn.
Unless a server is named, both upload to one that this script starts, which speaks just enough S3 and
throws the bytes away, so that it is the client that is timed. Every upload is a process of its own, so
that its peak memory is its own; times leave out starting it.

`ratio` is the time of the SDK over that of the store (bar: at least 0.9). `grown_mb` is by how much an
upload made its process grow (bar: at most 100, whatever the file's size).

    python scripts/bench_store.py                                    # 256 MB, three runs each
    python scripts/bench_store.py --mb 4096 --runs 1                 # needs that much room on the disk
    python scripts/bench_store.py --endpoint localhost:9000 --bucket longtake   # a real server, plain HTTP
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

BAR, MEMORY_BAR_MB = 0.9, 100


class Sink(BaseHTTPRequestHandler):
    """As much of S3 as an upload needs; bodies are read and thrown away."""

    protocol_version = "HTTP/1.1"
    sizes: ClassVar[dict[str, int]] = {}
    marks: ClassVar[dict[str, str]] = {}
    lock = threading.Lock()

    def log_message(self, *_: object) -> None: ...

    def answer(self, body: str = "", **headers: str) -> None:
        self.send_response_only(200)
        for name, value in {"Content-Type": "application/xml", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def drain(self) -> int:
        size = left = int(self.headers.get("Content-Length") or 0)
        buffer = memoryview(bytearray(1 << 20))
        while left:
            left -= self.rfile.readinto(buffer[: min(left, len(buffer))])
        return size

    def path_and_query(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return parts.path, parse_qs(parts.query, keep_blank_values=True)

    def do_GET(self) -> None:
        self.answer("<LocationConstraint/>")

    def do_HEAD(self) -> None:
        path, _ = self.path_and_query()
        self.answer(
            Content_Length=str(self.sizes[path]),
            x_amz_meta_longtake_upload=self.marks.get(path, ""),
        )

    def do_PUT(self) -> None:
        path, _ = self.path_and_query()
        size = self.drain()
        with self.lock:
            self.sizes[path] = self.sizes.get(path, 0) + size
        self.answer(ETag=f'"{size}"')

    def do_POST(self) -> None:
        path, query = self.path_and_query()
        self.drain()
        if "uploads" in query:
            self.sizes[path], self.marks[path] = 0, self.headers.get("x-amz-meta-longtake-upload", "")
            self.answer(
                "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
            )
        else:
            self.answer(
                "<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><ETag>1</ETag>"
                "</CompleteMultipartUploadResult>"
            )


def sink(pipe: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.daemon_threads = True
    pipe.send(f"127.0.0.1:{server.server_address[1]}")
    server.serve_forever()


def peak() -> int:
    """The peak memory of this process; not getrusage's, which counts what the parent held at the start."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def with_store(endpoint: str, bucket: str, file: str) -> dict[str, Any]:
    """Upload by the farm's store, and take the object away again."""
    from farm.store.s3 import S3Store
    from farm.store.s3_place import Place

    key = f"bench/{uuid.uuid4().hex}"
    store = S3Store(Place(endpoint=endpoint, bucket=bucket, secure=False))
    store.client._get_region(bucket)
    before, began = peak(), time.perf_counter()
    store.put(key, Path(file))
    return {"seconds": time.perf_counter() - began, "before": before, "peak": peak(), "key": key}


def with_sdk(endpoint: str, bucket: str, file: str) -> dict[str, Any]:
    """Upload by the SDK as it comes."""
    from minio import Minio
    from minio.credentials import EnvAWSProvider

    key = f"bench/{uuid.uuid4().hex}"
    client = Minio(endpoint, secure=False, credentials=EnvAWSProvider())
    client._get_region(bucket)
    before, began = peak(), time.perf_counter()
    client.fput_object(bucket, key, file)
    return {"seconds": time.perf_counter() - began, "before": before, "peak": peak(), "key": key}


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def remove(endpoint: str, bucket: str, key: str) -> None:
    from minio import Minio
    from minio.credentials import EnvAWSProvider

    Minio(endpoint, secure=False, credentials=EnvAWSProvider()).remove_object(bucket, key)


def compare(mb: int, runs: int, endpoint: str | None, bucket: str) -> dict[str, Any]:
    ways = {"store": with_store, "sdk": with_sdk}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = None
    address = endpoint
    if address is None:
        os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
        server = context.Process(target=sink, args=(theirs,), daemon=True)
        server.start()
        address = str(ours.recv())
    try:
        with tempfile.TemporaryDirectory(prefix="longtake-bench-") as folder:
            file = Path(folder) / "large"
            block = os.urandom(1 << 20)
            with file.open("wb") as target:
                for _ in range(mb):
                    target.write(block)
            for run in range(runs):
                for name in sorted(ways, reverse=bool(run % 2)):  # whoever comes first changes
                    answer = apart(ways[name], address, bucket, str(file))
                    found[name].append(answer)
                    if endpoint is not None:
                        remove(endpoint, bucket, answer["key"])
    finally:
        if server is not None:
            server.terminate()
            server.join()
    seconds = {name: median(item["seconds"] for item in items) for name, items in found.items()}
    grown = {
        name: median(item["peak"] - item["before"] for item in items) / 2**20 for name, items in found.items()
    }
    ratio = seconds["sdk"] / seconds["store"]
    return {
        "ratio": round(ratio, 3),
        "compared": f"time of the SDK's fput_object over that of S3Store.put, one file of {mb} MB, to "
        f"{endpoint or 'a server that throws the bytes away'}",
        "bar": {"ratio": BAR, "grown_mb": MEMORY_BAR_MB},
        "met": ratio >= BAR and grown["store"] <= MEMORY_BAR_MB,
        "mb": mb,
        "runs": runs,
        "rows": [
            {
                "way": name,
                "seconds": round(seconds[name], 3),
                "mb_per_s": round(mb / seconds[name]),
                "grown_mb": round(grown[name], 1),
                "peak_mb": round(median(item["peak"] for item in found[name]) / 2**20, 1),
            }
            for name in ways
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--mb", type=int, default=256, help="size of the file")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--endpoint", help="host and port of a real server; credentials from AWS_…")
    parser.add_argument("--bucket", default="longtake", help="a bucket of it")
    args = parser.parse_args()
    if args.mb < 1 or args.runs < 1:
        parser.error("give at least one MB and one run")
    result = compare(args.mb, args.runs, args.endpoint, args.bucket)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{'way':<6} {'seconds':>9} {'MB/s':>6} {'grown MB':>9} {'peak MB':>8}")
    for row in result["rows"]:
        print(
            f"{row['way']:<6} {row['seconds']:>9} {row['mb_per_s']:>6,} {row['grown_mb']:>9} "
            f"{row['peak_mb']:>8}"
        )
    print(f"ratio {result['ratio']}: {result['compared']}")
    print(
        f"bar {'met' if result['met'] else 'missed'}: ratio at least {BAR}, "
        f"memory grown by at most {MEMORY_BAR_MB} MB"
    )


if __name__ == "__main__":
    main()
