"""A store in a bucket: MinIO, or any S3 with conditional writes, through the `minio` SDK.

The SDK's HTTP client retries a few times, shortly and with jitter; what outlasts that is StoreAway.
Three things the SDK does not do are done here:

- *Creation that only one can win.* It cannot send `If-None-Match: *` with a PUT, so the PUT is signed by
  it and sent by its client. A reply that is lost leaves open who won: the object is read back, and the
  bytes that are there tell (callers write a run's or a worker's name into them).
- *Reading that does not begin again.* A body that breaks off is resumed with a range, on condition that
  the object is still the same; one that is short is never handed on.
- *Multipart uploads that are believed for a reason.* Completing one may answer 200 and fail, or have its
  reply lost; the object carries a mark of the upload, and is looked at.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import random
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from defusedxml.ElementTree import fromstring
from minio import Minio
from minio.commonconfig import REPLACE, CopySource
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from farm.errors import BadInput, NotFound, StoreAway, StoreError
from farm.ports import ObjectInfo
from farm.store.keys import check_key, check_prefix, is_key
from farm.store.race import race
from farm.store.s3_errors import AWAY, away, explain, reason_of, refusal
from farm.store.s3_login import Login
from farm.store.s3_place import Place

PART_BYTES = 8 * 2**20  # an upload holds one part for each of its threads, and the one being read
UPLOADS = 3
MOST_PARTS = 10_000
CHUNK = 1 << 20
TIMEOUT_S = 20.0
TRIES = 5
STALE = timedelta(days=1)
SIGNED_FOR = timedelta(minutes=15)
_MARK = "longtake-upload"


class S3Store:
    """A BlobStore in a bucket, for many processes of many machines; safe for threads.

    Cheap to build: nothing is asked before the first call.
    """

    def __init__(
        self,
        place: Place,
        credentials: Path | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        tries: int = TRIES,
    ) -> None:
        self.place, self.tries = place, tries
        self.http = urllib3.PoolManager(
            maxsize=16,
            timeout=urllib3.Timeout(connect=min(5.0, timeout_s), read=timeout_s),
            cert_reqs="CERT_REQUIRED",
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
            retries=urllib3.Retry(
                total=tries - 1,
                backoff_factor=0.1,
                backoff_jitter=0.2,
                status_forcelist=AWAY,
                allowed_methods=None,  # a POST too: one upload begun twice is one that goes stale
                respect_retry_after_header=False,  # long waits are for those who can do something else
            ),
        )
        try:
            self.client = Minio(
                place.endpoint,
                region=place.region,
                secure=place.secure,
                credentials=Login(credentials),
                http_client=self.http,
            )
        except ValueError as error:
            raise BadInput(f"store.endpoint or store.region cannot be used: {error}") from error

    def check_writable(self) -> None:
        """Make sure that a film can be kept here, and clear away uploads that were never finished.

        Raises:
            BadInput: saying what is wrong: the credentials, the bucket, or a store in which two writers
                of one key can both win.
            StoreAway: when the store does not answer.
        """
        try:
            with self._told():
                if not self.client.bucket_exists(self.place.bucket):
                    raise refusal(self.place, 404, "NoSuchBucket")
            fault = race(self)
        except StoreAway:
            raise
        except StoreError as error:
            raise BadInput(str(error)) from None
        if fault:
            raise BadInput(
                f"{self.place} cannot keep films: {fault}, and just one may. "
                "Longtake needs an S3 that honours If-None-Match, with nothing between that takes it off"
            )
        # Clearing away is a courtesy: credentials that may not list uploads can still render.
        with contextlib.suppress(StoreError):
            self.abort_stale_uploads(STALE)

    def _name(self, key: str) -> str:
        check_key(key)
        return self.place.prefix + key

    @contextlib.contextmanager
    def _told(self, key: str = "") -> Iterator[None]:
        """Raise what goes wrong inside as an error of ours."""
        try:
            yield
        except (MinioException, HTTPError, ParseError, ValueError, OSError) as error:
            raise explain(error, self.place, key) from None

    def _pause(self, tried: int) -> None:
        time.sleep(random.uniform(0, min(2.0, 0.2 * 2**tried)))

    def put(self, key: str, source: bytes | Path) -> None:
        name = self._name(key)
        with self._told(key), contextlib.ExitStack() as stack:
            if isinstance(source, bytes):
                self._upload(name, io.BytesIO(source), len(source))
            else:
                file = stack.enter_context(source.open("rb"))
                self._upload(name, file, os.fstat(file.fileno()).st_size)

    def _upload(self, name: str, file: BinaryIO, size: int) -> None:
        part = max(PART_BYTES, math.ceil(size / MOST_PARTS / PART_BYTES) * PART_BYTES)
        mark = uuid.uuid4().hex
        try:
            self.client.put_object(
                self.place.bucket,
                name,
                file,
                size,
                metadata={_MARK: mark},
                part_size=part,
                num_parallel_uploads=UPLOADS,
            )
        except (MinioException, HTTPError):
            # A second try to complete an upload is told all kinds of things if the first one did it.
            if size <= part or not self._bears(name, mark, size):
                raise
            return
        if size > part and not self._bears(name, mark, size):
            raise away(self.place, "an upload was not completed")

    def _bears(self, name: str, mark: str, size: int) -> bool:
        try:
            found = self.client.stat_object(self.place.bucket, name)
        except S3Error as error:
            if error.code == "NoSuchKey":
                return False
            raise
        return found.size == size and (found.metadata or {}).get(f"x-amz-meta-{_MARK}") == mark

    def create_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object only if there is none: of several writers exactly one gets True.

        Raises:
            StoreAway: when no answer came; the object may have been written all the same, so a caller
                that tries again and is told False must look whether the bytes are its own.
        """
        name, doubt, reason = self._name(key), False, ""
        for tried in range(self.tries):
            if tried:
                self._pause(tried)
            status, code, reason = self._put_if_absent(name, data)
            if status == 200:
                return True
            if status == 412:
                if not doubt:
                    return False
                with contextlib.suppress(NotFound):  # gone since: nobody has it, so try again
                    return self.get(key) == data
            elif status == 0 or status in AWAY:
                doubt = True  # it may have been written before the answer got lost
            elif status != 409 or code == "NoSuchBucket":  # 409: another's write was under way
                raise refusal(self.place, status, code, key)
        raise away(self.place, reason)

    def _put_if_absent(self, name: str, data: bytes) -> tuple[int, str, str]:
        """One conditional PUT, never repeated by the client: (HTTP status or 0, S3's code, what was said)."""
        with self._told():
            url = self.client.get_presigned_url("PUT", self.place.bucket, name, expires=SIGNED_FOR)
        try:
            answer = self.http.request(
                "PUT", url, body=data, headers={"If-None-Match": "*"}, retries=False, redirect=False
            )
        except HTTPError as error:
            trouble = explain(error, self.place)
            reason = reason_of(error)
        else:
            return answer.status, _code(answer.data), f"it answers {answer.status}"
        if not isinstance(trouble, StoreAway):
            raise trouble
        return 0, "", reason

    def get(self, key: str) -> bytes:
        buffer = io.BytesIO()
        self._download(key, buffer)
        return buffer.getvalue()

    def fetch(self, key: str, target: Path) -> None:
        part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
        try:
            with part.open("xb") as file:
                self._download(key, file)
            part.replace(target)
        except OSError as error:
            raise StoreError(f"cannot write {target}: {(error.strerror or str(error)).lower()}") from error
        finally:
            part.unlink(missing_ok=True)

    def _download(self, key: str, file: BinaryIO) -> None:
        """Write an object to a file, going on where a connection was cut.

        Tries in vain are counted, and those that brought a chunk are none: a large object over a bad
        line arrives in the end.
        """
        name, same, at, vain = self._name(key), "", 0, 0
        while True:
            begun = at
            try:
                answer = self._open(name, key, at, same)
                if at and answer.status != 206:  # another object, or a server that knows no ranges
                    at = begun = file.seek(0)
                    file.truncate()
                same, length = answer.headers.get("etag", ""), answer.headers.get("content-length", "")
                try:
                    for piece in answer.stream(CHUNK, decode_content=False):
                        file.write(piece)
                        at += len(piece)
                finally:
                    answer.close()
                    answer.release_conn()
                if length.isdigit() and at - begun == int(length):
                    return
                reason = "its answer broke off"
            except HTTPError as error:
                reason = reason_of(error)
            vain = 0 if at - begun >= CHUNK else vain + 1
            if vain >= self.tries:
                raise away(self.place, reason)
            self._pause(vain)

    def _open(self, name: str, key: str, at: int, same: str) -> urllib3.BaseHTTPResponse:
        """Ask for an object from a byte on, if it is still the same; from its start if it is not."""
        with self._told(key):
            if at and same:
                try:
                    answer = self.client.get_object(
                        self.place.bucket, name, offset=at, request_headers={"If-Match": same}
                    )
                    if answer.headers.get("etag") == same:
                        return answer
                    answer.close()  # a server that knows no If-Match
                    answer.release_conn()
                except S3Error as error:
                    if error.code not in ("PreconditionFailed", "InvalidRange"):
                        raise
            return self.client.get_object(self.place.bucket, name)

    def stat(self, key: str) -> ObjectInfo | None:
        name = self._name(key)
        with self._told(key):
            try:
                found = self.client.stat_object(self.place.bucket, name)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                raise
        return ObjectInfo(key, found.size or 0, _seconds(found.last_modified))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        with self._told():
            for found in self.client.list_objects(
                self.place.bucket, prefix=self.place.prefix + prefix, recursive=True
            ):
                key = (found.object_name or "").removeprefix(self.place.prefix)
                if is_key(key):  # what else lies in the bucket is not ours
                    yield ObjectInfo(key, found.size or 0, _seconds(found.last_modified))

    def delete(self, key: str) -> None:
        name = self._name(key)
        with self._told(key), contextlib.suppress(NotFound):
            self.client.remove_object(self.place.bucket, name)

    def touch(self, key: str) -> None:
        # S3 has no other way than a copy onto itself, which it takes only where something is changed by it.
        bucket, name = self.place.bucket, self._name(key)
        with self._told(key):
            self.client.copy_object(
                bucket,
                name,
                CopySource(bucket, name),
                metadata={_MARK: uuid.uuid4().hex},
                metadata_directive=REPLACE,
            )

    def locate(self, key: str) -> str:
        return f"s3://{self.place.bucket}/{self._name(key)}"

    def link(self, key: str, seconds: int) -> str:
        """Return an address under which anybody can read the object for so many seconds.

        It is a secret: never logged, never written to the store or a report.
        """
        name = self._name(key)
        if not 1 <= seconds <= 7 * 86400:
            raise StoreError(f"a link for {seconds} seconds cannot be made: give 1 second to 7 days")
        with self._told(key):
            return self.client.presigned_get_object(
                self.place.bucket, name, expires=timedelta(seconds=seconds)
            )

    def abort_stale_uploads(self, older_than: timedelta) -> int:
        """Abort multipart uploads begun under our prefix so long ago; say how many.

        What a killed worker had begun to upload is seen by nobody and paid for all the same. Without a
        prefix the whole bucket is taken to be ours.
        """
        limit, after, aborted = datetime.now(UTC) - older_than, None, 0
        with self._told():
            while True:
                page = self.client._list_multipart_uploads(
                    self.place.bucket, prefix=self.place.prefix, key_marker=after
                )
                for upload in page.uploads:
                    ours = upload.object_name.startswith(self.place.prefix)
                    if ours and upload.upload_id and upload.initiated_time and upload.initiated_time < limit:
                        self.client._abort_multipart_upload(
                            self.place.bucket, upload.object_name, upload.upload_id
                        )
                        aborted += 1
                after = page.next_key_marker
                if not page.is_truncated or not after:
                    return aborted


def _seconds(modified: datetime | None) -> float:
    """Seconds since the epoch; what a server tells no time of never gets old."""
    return math.inf if modified is None else modified.timestamp()


def _code(body: bytes) -> str:
    """S3's own word for what is wrong, out of an answer's body."""
    with contextlib.suppress(ParseError, ValueError):
        return next((part.text or "" for part in fromstring(body).iter() if part.tag.endswith("Code")), "")
    return ""
