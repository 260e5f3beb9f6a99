"""What must not be written: passwords, tokens, keys and cookies, known by their names.

The one place where secrets are taken out, before an event's bytes go anywhere.
"""

import re
from collections.abc import Callable
from typing import Any

import orjson

from .interruption import pass_on_interruption
from .repair import repair

REDACTED = "REDACTED"

Redact = Callable[[str, Any], Any]
"""Given a name and its value, returns the value to record: itself, or what stands for it."""

# A number at the end makes no difference, nor does that of a key that was there twice.
_is_secret = re.compile(
    r"authorization|cookie|passw|passphrase|passcode|secret(?!ar)|credential|jwt|[cx]srf|sessid"
    r"|(?:pwd|token|auth|bearer|signature|^sig)\d*$|(?:access|refresh|auth|bearer)tokens$"
    r"|(?:^|db|sql|user|login|admin|root|smtp|mail|ftp|redis|proxy)pass\d*$"
    r"|(?:api|access|private|session|signing|encryption|auth|account|ssh)keys?(?:ids?)?\d*$"
).search
_holds_urls = re.compile(
    r"(?:url|urlfull|urloriginal|uri|query|target|referer|location|link|href"
    r"|dsn|proxy|broker|resultbackend|endpoint|connectionstring)s?\d*$"
).search
# Each begins where a name can begin, and nowhere within one: a long text takes no long time.
_parameter = re.compile(r"(?<![^?&;#=\s/])([^?&;#=\s/]+)=([^&;#\s]*)")
_user = re.compile(r"(//)[^/?#\s]+@")

_SCALARS = frozenset((str, int, float, bool, type(None)))
MOST_NAMES = 10_000
_OWN = frozenset(("metadata", "input", "output"))
"""The fields that only a trace has."""
_FREE = _OWN | {"attributes", "events"}
"""The fields of an event whose contents are the application's."""


class Redactor:
    """Takes secrets out of wire dicts; *custom* is asked about whatever remains."""

    def __init__(self, custom: Redact | None = None) -> None:
        self._custom = custom
        self._plain: dict[str, type] = {}  # names whose values of this type need no second look

    def concerns(self, wire: dict[str, Any]) -> bool:
        """Whether there may be something to take out: most events have flat, harmless names."""
        kinds, attributes = self._plain, wire.get("attributes", ())
        try:
            for name in attributes:  # names alone: pairs take a third longer
                if kinds[name] is not type(attributes[name]):
                    return True
        except (KeyError, RuntimeError, TypeError):  # a new name, or it changes, or no mapping
            return True
        fields = "events" in wire or (wire["type"] == "trace" and not _OWN.isdisjoint(wire))
        return fields or self._custom is not None

    def clean(self, line: bytes) -> dict[str, Any]:
        """Return a line's object without secrets."""
        wire: dict[str, Any] = orjson.loads(line)
        for name in _FREE & wire.keys():
            try:
                wire[name] = self._named(name, wire[name])
            except RecursionError:  # nested deeper than the stack has room for
                wire[name] = {name: REDACTED}
        return wire

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            if "value" in value and _is_secret(_letters(value.get("name", value.get("key")))):
                value = {**value, "value": REDACTED}
            return {key: self._named(key, inner) for key, inner in value.items()}
        if isinstance(value, list):
            if len(value) == 2 and _is_secret(_letters(value[0])):  # a header and its value
                return [value[0], REDACTED]
            return [self._value(name, item) for item in value]
        if self._custom is not None:
            value = self._ask(self._custom, name, value)
            if isinstance(value, dict | list):
                return self._value(name, value)
        is_url = isinstance(value, str) and _holds_urls(_letters(name))
        return redact_url(value) if is_url else value

    def _ask(self, custom: Redact, name: str, value: Any) -> Any:
        try:
            return repair(custom(name, value))
        except Exception as error:  # rather nothing than a secret
            pass_on_interruption(error)
            return REDACTED

    def _named(self, name: str, value: Any) -> Any:
        word = _letters(name)
        if _is_secret(word):
            return REDACTED
        if type(value) in _SCALARS and not _holds_urls(word) and len(self._plain) < MOST_NAMES:
            self._plain[name] = type(value)
        return self._value(name, value)


def redact_url(url: str) -> str:
    """Take secret parameters, and a user with its password, out of a URL or a query string."""
    safe = _parameter.sub(_redact_parameter, url) if "=" in url else url
    return _user.sub(rf"\1{REDACTED}@", safe) if "@" in safe else safe


def without_credentials(url: str) -> str:
    """Return the URL of a store without user, password and secret parameters, to be shown."""
    return redact_url(re.sub(r"(//+).*@", r"\1", url, flags=re.DOTALL))


def _redact_parameter(match: re.Match[str]) -> str:
    from urllib.parse import unquote

    # The value may be a URL itself, whose marks are written as %3F and %3D.
    inner = _parameter.finditer(unquote(match[2])) if "%" in match[2] else ()
    secret = any(_is_secret(_letters(unquote(found[1]))) for found in (match, *inner))
    return f"{match[1]}={REDACTED}" if secret else match[0]


def _letters(name: object) -> str:
    return re.sub("[^a-z0-9]", "", name.lower()) if isinstance(name, str) else ""
