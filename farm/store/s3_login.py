"""Who we are to an S3 server: from the environment or a file, and nowhere else.

Keys are read when a request is signed and are held by nothing of ours, so they cannot turn up in a
configuration, a log, a report, or what a debugger prints; and a file that is renewed while a film
renders is read anew. What goes wrong while reading them is told in our own words, since a parser's
complaint quotes the line it does not understand.
"""

from __future__ import annotations

import configparser
import contextlib
import logging
import re
from pathlib import Path

from minio.credentials.credentials import Credentials
from minio.credentials.providers import (
    AWSConfigProvider,
    EnvAWSProvider,
    EnvMinioProvider,
    Provider,
)

from farm.errors import StoreError

_SIGNED = re.compile(r"\?\S*X-Amz-(Credential|Signature|Security-Token)=\S*", re.IGNORECASE)


class Login(Provider):
    """Credentials of a file if one is named, else of the environment or `~/.aws/credentials`."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.sources: list[Provider] = (
            [EnvAWSProvider(), EnvMinioProvider(), AWSConfigProvider()]
            if file is None
            else [AWSConfigProvider(str(file))]
        )

    def retrieve(self) -> Credentials:
        """Return the first credentials there are. Raises StoreError where there are none."""
        for source in self.sources:
            with contextlib.suppress(ValueError, configparser.Error, OSError):
                return source.retrieve()
        if self.file is not None:
            raise StoreError(
                f"{self.file} holds no credentials that can be read: it must have aws_access_key_id and "
                "aws_secret_access_key under [default], or under the profile that AWS_PROFILE names"
            )
        raise StoreError(
            "there are no credentials for the store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or "
            "MINIO_ACCESS_KEY and MINIO_SECRET_KEY) where it runs, or name a file with store.credentials=FILE"
        )


class _HideSignatures(logging.Filter):
    """Cuts the query off a signed address: whoever has it can do what it says."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _SIGNED.sub("?…", arg) if isinstance(arg, str) else arg for arg in record.args
            )
        return True


# The only logger through which urllib3 tells, at its debug level, which address was asked.
logging.getLogger("urllib3.connectionpool").addFilter(_HideSignatures())
