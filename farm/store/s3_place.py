"""Where a bucket store is. Needs no SDK, so that what only names it stays quick."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server, a bucket, and what all names in it begin with: a prefix that ends in a slash, or nothing."""

    endpoint: str
    bucket: str
    prefix: str = ""
    region: str | None = None
    secure: bool = True

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def __str__(self) -> str:
        return f"{self.uri} at {self.endpoint}"
