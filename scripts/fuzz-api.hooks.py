"""Signs webhooks as WHOOP does, so that the API accepts the fuzzer's webhooks.

Without WHOOP_CLIENT_SECRET nothing is signed, and the API answers every webhook with 401.
"""

import base64
import hashlib
import hmac
import os
import time

import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation

SECRET = os.environ.get("WHOOP_CLIENT_SECRET", "").encode()


def sign(request):
    """Signs the exact bytes that are sent: called with the prepared request."""
    timestamp = str(int(time.time() * 1000))
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else body
    mac = hmac.new(SECRET, timestamp.encode() + body, hashlib.sha256)
    request.headers["X-WHOOP-Signature"] = base64.b64encode(mac.digest()).decode()
    request.headers["X-WHOOP-Signature-Timestamp"] = timestamp
    return request


@schemathesis.hook
def before_call(context, case, kwargs):
    if not SECRET or case.path != "/webhooks/whoop" or case.method != "POST" or case.meta is None:
        return
    headers = case.meta.components.get(ParameterLocation.HEADER)
    # A header that the fuzzer omitted or corrupted on purpose is not replaced.
    if headers is None or headers.mode == GenerationMode.POSITIVE:
        kwargs["auth"] = sign
