"""Words of a request: parameters, origins, languages, forms, tokens."""

import asyncio
import json
import random
import urllib.parse
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st
from starlette.datastructures import Headers, QueryParams

from app.access.key import digest_of, id_of
from app.access.tokens import Tokens
from app.errors import RequestError
from app.http.body.form import Form
from app.http.front.cors import Origins
from app.http.front.guard import secret_of
from app.http.parameters import (
    IMAGE_PARAMETERS,
    SUBJECT_FIELDS,
    has_unknown,
    read_flag,
    read_subject,
    read_window,
    read_with_uid,
)
from app.language import negotiate
from app.settings.settings import Settings
from tests.fuzz.pictures import check_refusal, jpegs
from tests.fuzz.target import CANARY, Target, Wrong, damage_bytes, damaged, invented

_NAMES = (*SUBJECT_FIELDS, *IMAGE_PARAMETERS, "heatmap", "alpha", "patient")
_VALUES = st.one_of(
    st.text(max_size=12),
    st.integers().map(str),
    st.floats().map(str),
    st.from_regex(r"[0-9]{1,4}[YMWDymwd,.]?[0-9]?", fullmatch=True),
    st.sampled_from(
        ["061Y", "61,5", "٦١", "1e3", "0x10", "1_0", "AP", "pa", "LL", "AP SUPINE", "true",
         "uid", "9" * 5000, CANARY.decode(), "İ", "\0", "\r\nX: 1", "nan", "inf", "-0", "６１"]
    ),
)  # fmt: skip


class Parameters(Target):
    """Of a query: what it says of the patient and the image."""

    name = "query"
    suffix = "txt"

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give query strings."""
        pairs = st.lists(st.tuples(st.sampled_from(_NAMES), _VALUES), max_size=4)
        encoded = pairs.map(lambda given: urllib.parse.urlencode(given, errors="replace").encode())
        return invented(encoded, first, count)

    def run(self, data: bytes) -> str:
        """Read every parameter."""
        given = QueryParams(data)
        try:
            has_unknown(given, _NAMES)
            read_subject(given)
            read_window(given)
            read_with_uid(given)
            read_flag(given, "heatmap")
        except RequestError as error:
            check_refusal(error)
            return error.code
        return "read"


_HEADS = ("origin", "host", "sec-fetch-site", "x-forwarded-host", "accept-language",
          "authorization", "x-api-key", "access-control-request-method")  # fmt: skip
_HEAD_WORDS = st.one_of(
    st.text(max_size=16),
    st.sampled_from(
        ["null", "http://", "https://a.example", "http://[::1", "http://a.example:80", "a.example",
         "same-origin", "cross-site", "en;q=0.5,es", "es;q=nan", "*;q=1e400", "es;q=" + "1" * 5000,
         "Bearer x", "bearer  " + "k" * 5000, "Basic eDp5", "POST", ",,,;;;===", "Bearer a.b.c"]
    ),
)  # fmt: skip


class Heads(Target):
    """Headers on which it depends who may ask: origins, languages, keys."""

    name = "head"
    suffix = "txt"

    def open(self) -> None:
        """Allow one origin; ask for keys that nobody has."""
        self._origins = Origins(frozenset({"https://a.example"}))

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give headers, one a line."""
        lines = st.lists(st.tuples(st.sampled_from(_HEADS), _HEAD_WORDS), max_size=6)
        written = lines.map(
            lambda each: b"\n".join(
                name.encode() + b": " + value.replace("\n", " ").encode("utf-8", "replace")
                for name, value in each
            )
        )
        return invented(written, first, count)

    def run(self, data: bytes) -> str:
        """Ask whether a page may, in which language, and with which key."""
        lines = [line.partition(b": ") for line in data.split(b"\n") if b": " in line]
        raw = [(name, value) for name, _, value in lines]
        headers = Headers(raw=raw)
        refused = [self._origins.refuses(method, headers) for method in ("POST", "OPTIONS", "GET")]
        if refused[0] and headers.get("origin") == "https://a.example":
            raise Wrong("an allowed origin is refused")
        allowed = self._origins.answer_headers(raw).get("Access-Control-Allow-Origin")
        if allowed not in (None, "https://a.example"):
            raise Wrong("a strange origin is let see")
        language = negotiate(headers.get("accept-language"))
        secret = None
        try:
            secret = secret_of({"headers": raw})
        except RequestError as error:
            check_refusal(error)
        if secret is not None:
            digest_of(secret)
            if id_of(secret) is not None:
                raise Wrong("a key was guessed")
        return f"{language} {'refused' if refused[0] else 'taken'}"


_WORDS = [
    b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\n', b"--bound", b"--bound--",
    b"\r\n", b"Content-Type: text/plain\r\n", b'name="age_years"', b'name="file[]"', b"filename*=",
    b"filename*=utf-8''%ff", b'name="', b"Content-Transfer-Encoding: base64\r\n", b"\0", b";" * 900,
]  # fmt: skip


class Forms(Target):
    """Multipart forms, in pieces of any length. The boundary is ``bound``."""

    name = "form"
    suffix = "form"
    share = 4

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give damaged forms."""
        return damaged(forms(), first, count, lambda form, dice: damage_bytes(form, dice, _WORDS))

    def run(self, data: bytes) -> str:
        """Read it whole and in small pieces: both have to end alike."""
        ends = {self._read(data, step) for step in (len(data) or 1, 1 + len(data) // 7)}
        if len(ends) > 1:
            raise Wrong("pieces are read otherwise than the whole")
        return ends.pop()[0]

    @staticmethod
    def _read(data: bytes, step: int) -> tuple[str, ...]:
        try:
            form = Form("multipart/form-data; boundary=bound", SUBJECT_FIELDS, 8)
            for at in range(0, len(data), step):
                form.write(data[at : at + step])
            form.finish()
            if form.files:
                _ = [read_subject({k: v[0] for k, v in form.texts.items()})]
        except RequestError as error:
            check_refusal(error)
            return (error.code,)
        return "read", repr(form.files), repr(form.texts), repr(form.has_unknown_fields)


def forms() -> list[bytes]:
    """Return whole forms, as browsers, PHP, Java and hospitals' viewers write them."""
    film = jpegs()[0]

    def part(head: bytes, content: bytes) -> bytes:
        return (
            b"--bound\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + content + b"\r\n"
        )

    end = b"--bound--\r\n"
    file = part(b'name="file"; filename="' + CANARY + b'.jpg"\r\nContent-Type: image/jpeg', film)
    return [
        file + end,
        file + part(b'name="age_years"', b"061Y") + part(b'name="view"', b"PA") + end,
        part(b'name="file"\r\nContent-Type: image/jpeg', film) + end,
        file
        + part(b'name="file2"; filename=""\r\nContent-Type: application/octet-stream', b"")
        + end,
        b"".join(part(b'name="tag%d"' % number, CANARY) for number in range(17)) + file + end,
        file + part(b'name="report"', b"x" * 5000) + end,
        part(b'name="file[]"; filename="a"', film)
        + part(b'name="file[]"; filename="b"', film)
        + end,
        part(b"name=file; filename*=utf-8''ni%C3%B1o.jpg", film) + end,
    ]


class JsonWebTokens(Target):
    """Tokens of an issuer whose key is known: signed claims of any kind, and damaged tokens."""

    name = "token"
    suffix = "jwt"
    _ISSUER = "http://127.0.0.1:9/realm"

    def open(self) -> None:
        """Know the issuer's key without asking."""
        settings = Settings(
            oidc_issuer=self._ISSUER, oidc_audience="neumo", oidc_algorithms="EdDSA,ES256"
        )
        self._tokens = Tokens(settings, None)
        public = jwt.get_algorithm_by_name("EdDSA").to_jwk(_KEY.public_key(), as_dict=True)
        known = jwt.PyJWK.from_dict(public | {"kid": "k", "alg": "EdDSA"})
        issuer: Any = self._tokens._issuer  # or each input would be a call
        issuer._keys = {"k": known}
        issuer._fetched_s = issuer._asked_s = float("inf")
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        """Let go of the loop."""
        self._loop.close()

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give tokens; the claims are hypothesis', the signature is good but in one of four."""
        good = {"iss": self._ISSUER, "aud": "neumo", "exp": 4102444800, "sub": "radiology"}
        names = st.sampled_from([*good, "nbf", "iat", "scope", "jti"])
        claims = st.dictionaries(names, _CLAIM, max_size=2)
        heads = st.dictionaries(st.sampled_from(["kid", "crit", "alg", "b64"]), _CLAIM, max_size=1)
        made = st.tuples(heads, claims).map(
            lambda each: _sign({"kid": "k"} | each[0], good | each[1])
        )
        for number, token in enumerate(invented(made, first, count), first):
            dice = random.Random(number)  # noqa: S311 - to be repeated
            yield damage_bytes(token, dice, [b".", b"e30", b"=="]) if number % 4 == 0 else token

    def run(self, data: bytes) -> str:
        """Ask who shows it."""
        secret = data.decode("latin-1").strip()
        try:
            caller = self._loop.run_until_complete(self._tokens.identify(secret))
        except RequestError as error:
            check_refusal(error)
            return str(error.facts.get("reason", error.code))
        if not caller.name.isprintable() or not caller.name:
            raise Wrong("a caller who can't be written down")
        return "known"


_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))  # the same in every run
_CLAIM = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.lists(st.one_of(st.none(), st.text(max_size=5), st.integers()), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(
        [
            "x" * 20_000,
            10**400,
            "predict\u0000admin",
            ["predict", {}],
            "predict admin",
            "none",
            "HS256",
        ]
    ),
)


def _sign(head: dict[str, Any], claims: dict[str, Any]) -> bytes:
    """Sign with the issuer's key, whatever the head says, as PyJWT would not."""
    encoded = b".".join(
        jwt.utils.base64url_encode(json.dumps(part).encode())
        for part in ({"alg": "EdDSA", "typ": "JWT"} | head, claims)
    )
    signature = jwt.get_algorithm_by_name("EdDSA").sign(encoded, _KEY)
    return encoded + b"." + jwt.utils.base64url_encode(signature)
