"""An OpenID Connect issuer for tests: a real HTTP server on this machine, with keys of its own."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "neumo-of-this-test"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class LocalIssuer:
    """What it publishes can be changed: `keys` by id, `down`, `discovery`.

    `asked` counts the calls for its keys.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/realm"
        self.keys: dict[str, PrivateKey] = {}
        self.down = False
        self.pause_s = 0.0
        self.asked = 0
        self.discovery: dict[str, Any] = {
            "issuer": self.address,
            "jwks_uri": f"{self.address}/certs",
        }
        self.keys["rsa-1"] = _first_key()

    def add_rsa(self, key_id: str) -> None:
        self.keys[key_id] = rsa.generate_private_key(65537, 2048)

    def add_ec(self, key_id: str) -> None:
        self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())

    def jwks(self) -> dict[str, Any]:
        published = []
        for key_id, key in self.keys.items():
            algorithm = _algorithm_of(key)
            kind = jwt.get_algorithm_by_name(algorithm)
            published.append(
                {"kid": key_id, "use": "sig", "alg": algorithm}
                | kind.to_jwk(key.public_key(), as_dict=True)
            )
        return {"keys": published}

    def claims(self, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - any claim
        """Return a good token's claims; None leaves one out."""
        now = int(time.time())
        good = {
            "iss": self.address, "aud": AUDIENCE, "sub": "radiology-7", "scope": "predict openid",
            "iat": now, "nbf": now, "exp": now + 300, "jti": secrets.token_hex(8),
        }  # fmt: skip
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(self, key_id: str = "rsa-1", **changed: Any) -> str:  # noqa: ANN401 - any claim
        key = self.keys[key_id]
        head = {"kid": key_id}
        return jwt.encode(self.claims(**changed), key, _algorithm_of(key), headers=head)


@cache
def _first_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _algorithm_of(key: PrivateKey) -> str:
    return "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"


@contextmanager
def issuing() -> Iterator[LocalIssuer]:
    """Answer discovery and keys until left."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = None
            if self.path == "/realm/.well-known/openid-configuration":
                content = issuer.discovery
            elif self.path == "/realm/certs":
                issuer.asked += 1
                content = issuer.jwks()
            elif self.path == "/realm/moved":
                self.send_response(302)
                self.send_header("Location", "/realm/certs")
                self.end_headers()
                return
            time.sleep(issuer.pause_s)
            if issuer.down or content is None:
                self.send_error(503)
                return
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = LocalIssuer(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
