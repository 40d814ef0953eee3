# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Matrix user's client does with media, over HTTP."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

import requests

TIMEOUT = 60


@dataclass(frozen=True)
class MatrixClient:
    homeserver_url: str
    access_token: str

    def upload(self, content: bytes, content_type: str) -> str:
        """Upload a file; return its media ID."""
        response = requests.post(
            f"{self.homeserver_url}/_matrix/media/v3/upload",
            data=content,
            headers={
                "Authorization": f"Bearer {self.access_token}",
                "Content-Type": content_type,
                "Content-Length": str(len(content)),
            },
            timeout=TIMEOUT,
        )
        response.raise_for_status()
        return str(response.json()["content_uri"]).rsplit("/", 1)[1]

    def download(self, server_name: str, media_id: str) -> bytes:
        return self._get(f"download/{server_name}/{media_id}", {})

    def thumbnail(self, server_name: str, media_id: str, width: int, height: int, method: str) -> bytes:
        return self._get(f"thumbnail/{server_name}/{media_id}", {"width": width, "height": height, "method": method})

    def delete(self, server_name: str, media_id: str) -> None:
        """Delete a file with its thumbnails, as an administrator of the homeserver does."""
        response = requests.delete(
            f"{self.homeserver_url}/_synapse/admin/v1/media/{server_name}/{media_id}",
            headers={"Authorization": f"Bearer {self.access_token}"},
            timeout=TIMEOUT,
        )
        response.raise_for_status()

    def _get(self, path: str, parameters: dict[str, str | int]) -> bytes:
        response = requests.get(
            f"{self.homeserver_url}/_matrix/client/v1/media/{path}",
            params=parameters,
            headers={"Authorization": f"Bearer {self.access_token}"},
            timeout=TIMEOUT,
        )
        response.raise_for_status()
        return response.content


def register_administrator(homeserver_url: str, shared_secret: str, name: str, password: str) -> MatrixClient:
    """Register an administrator of the homeserver with its registration_shared_secret.

    https://element-hq.github.io/synapse/latest/admin_api/register_api.html
    """
    url = f"{homeserver_url}/_synapse/admin/v1/register"
    nonce = requests.get(url, timeout=TIMEOUT).json()["nonce"]
    words = "\0".join([nonce, name, password, "admin"])
    mac = hmac.new(shared_secret.encode(), words.encode(), "sha1").hexdigest()
    request = {"nonce": nonce, "username": name, "password": password, "admin": True, "mac": mac}
    response = requests.post(url, json=request, timeout=TIMEOUT)
    response.raise_for_status()
    return MatrixClient(homeserver_url, response.json()["access_token"])


def register(homeserver_url: str, name: str, password: str) -> MatrixClient:
    """Register a user through the client API, as a client on an open homeserver does."""
    response = requests.post(
        f"{homeserver_url}/_matrix/client/v3/register",
        json={"username": name, "password": password, "auth": {"type": "m.login.dummy"}},
        timeout=TIMEOUT,
    )
    response.raise_for_status()
    return MatrixClient(homeserver_url, response.json()["access_token"])
