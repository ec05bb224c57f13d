"""What an S3 server or the way to it says, in one sentence with what to do.

Two kinds: the store is away (it will be back: wait), or something is set wrong (waiting is no help).
Neither ever quotes an address, which may be a signed one, or an answer's body.
"""

from __future__ import annotations

from http.client import IncompleteRead

from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    ResponseError,
    SSLError,
)

from farm.errors import NotFound, StoreAway, StoreError
from farm.store.s3_place import Place

AWAY = frozenset({429, 500, 502, 503, 504})
_LOGIN = (
    "{endpoint} does not accept the credentials ({code}): check AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or the file that store.credentials names"
)
_REGION = "the bucket {bucket} is not in the region that was asked ({code}): say store.region=NAME"
_CURES = {
    "NoSuchBucket": "there is no bucket {bucket} at {endpoint}: make it, or say store.bucket=NAME",
    "AccessDenied": "{endpoint} does not let these credentials work in {uri} ({code}): they are wrong, or "
    "may not read, write, list and delete there",
    "InvalidAccessKeyId": _LOGIN,
    "SignatureDoesNotMatch": _LOGIN,
    "ExpiredToken": _LOGIN,
    "InvalidToken": _LOGIN,
    "RequestTimeTooSkewed": "the clocks of this machine and of {endpoint} differ by too much: set this one",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "NotImplemented": "{endpoint} cannot do this ({code}): Longtake needs an S3 with conditional writes",
}
_AWAY_CODES = frozenset(
    {
        "InternalError",
        "NoSuchUpload",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "TooManyRequests",
    }
)


def explain(error: Exception, place: Place, key: str = "") -> StoreError:
    """Turn whatever the SDK and its client raise into an error of ours."""
    match error:
        case StoreError():
            return error
        case S3Error():
            status = getattr(error.response, "status", 0)
            return refusal(place, status, error.code or "", key)
        case ServerError():
            return refusal(place, error.status_code, "", key)
        case InvalidResponseError():
            return refusal(place, getattr(error, "_code", 0), "", key)
        case HTTPError():
            return _unreachable(error, place)
        case OSError():
            return StoreError(f"cannot read what is to be written to {place.uri}: {_strerror(error)}")
    return StoreError(
        f"{place.endpoint} answers, but not as an S3 does ({type(error).__name__}): check store.endpoint"
    )


def refusal(place: Place, status: int, code: str, key: str = "") -> StoreError:
    """The error for an answer that is no success, by its HTTP status and S3's own code."""
    if code in ("NoSuchKey", "NoSuchVersion"):
        return NotFound(f"there is no {key} in {place.uri}")
    if code in _CURES:
        sentence = _CURES[code]
        return StoreError(
            sentence.format(endpoint=place.endpoint, bucket=place.bucket, uri=place.uri, code=code)
        )
    if code in _AWAY_CODES or status in AWAY:
        return away(place, f"it answers {code or status}")
    if status == 403:
        return refusal(place, status, "AccessDenied")
    if status == 501:
        return refusal(place, status, "NotImplemented")
    return StoreError(
        f"{place.endpoint} refuses what it is asked ({' '.join(filter(None, (f'HTTP {status}', code)))}): "
        "check store.endpoint, store.secure and store.bucket"
    )


def away(place: Place, reason: str) -> StoreAway:
    return StoreAway(
        f"the store {place} is away ({reason}): what is committed is kept; "
        "once it is back, the same command goes on"
    )


def _unreachable(error: HTTPError, place: Place) -> StoreError:
    cause: object = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    if isinstance(cause, SSLError) and (fault := _tls_fault(cause)):
        return StoreError(
            f"there is no trusted connection to {place.endpoint} ({fault}): name its authority's file in "
            "SSL_CERT_FILE, or say store.secure=false if it speaks plain HTTP"
        )
    return away(place, reason_of(cause))


def _tls_fault(error: SSLError) -> str:
    """What is wrong with the other side's TLS for good; nothing for a connection that was cut."""
    text = str(error).lower()
    known = ("certificate verify failed", "hostname mismatch", "wrong version number", "record layer failure")
    return next((fault for fault in known if fault in text.replace("_", " ")), "")


def reason_of(error: object) -> str:
    """Why there was no answer, in a few words without any address."""
    match error:
        case NameResolutionError():
            return "its name is not known here"
        case NewConnectionError():
            return str(error).rpartition("] ")[2].lower() or "no connection"
        case ConnectTimeoutError():
            return "no connection in time"
        case ReadTimeoutError():
            return "no answer in time"
        case ResponseError():
            return f"{error}".replace("too many ", "it keeps giving ")
        case IncompleteRead():
            return "its answer broke off"
    return "the connection was cut"


def _strerror(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
