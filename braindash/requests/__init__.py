"""What a user asks for, before anything is looked up: settings that are checked on their own.

One module per kind of work; each request names the worker's task that does it.
"""

from braindash.requests.base import Request, RequestT, build_request
from braindash.requests.encode import LOW_LEVEL_SPACE, MEAN_SUBJECT, EncodeRequest
from braindash.requests.probe import ProbeRequest
from braindash.requests.tune import TuneRequest, build_tune_request

__all__ = [
    "LOW_LEVEL_SPACE",
    "MEAN_SUBJECT",
    "EncodeRequest",
    "ProbeRequest",
    "Request",
    "RequestT",
    "TuneRequest",
    "build_request",
    "build_tune_request",
]
