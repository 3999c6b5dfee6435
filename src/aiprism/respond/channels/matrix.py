"""Matrix: an event in a room, by the client-server API. The notification's id is the transaction's: sent twice, shown once.

`matrix_configs` is aiprism's own; Alertmanager has no such channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from aiprism.httpconfig import Authorization, Secret, secret
from aiprism.respond.channels.post import Entry, Globals, Letter, cut
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_TEXT = 30_000  # an event holds 64 KiB


@dataclass(frozen=True, slots=True)
class Matrix(Entry):
    """One entry of `matrix_configs`."""

    room: str
    text: Words
    html: Words
    kind: str = "m.text"
    channel: str = "matrix"

    def letter(self, message: Message, key: str) -> Letter:
        what = seen(message)
        body = {"msgtype": self.kind, "body": cut(self.text.of(what), _TEXT)}
        if html := self.html.of(what):
            body |= {"format": "org.matrix.custom.html", "formatted_body": html}
        path = f"_matrix/client/v3/rooms/{quote(self.room, safe='')}/send/m.room.message/{quote(key, safe='')}"
        return Letter(
            url=Secret(f"{self.url.reveal()}/{path}"),
            body=body,
            key=key,
            http=self.http,
            method="PUT",
        )


def read(node: Node, receiver: str, defaults: Globals) -> Matrix:
    """The integration an entry of `matrix_configs` describes."""
    node.fields(
        "send_resolved", "http_config", "homeserver_url", "access_token", "access_token_file", "room_id", "text", "html",
        "msgtype",
    )  # fmt: skip
    token = secret(node, "access_token")
    if not token or not node["room_id"] or not node["homeserver_url"]:
        raise node.error("matrix_configs needs homeserver_url, room_id and access_token (or access_token_file)")
    return Matrix(
        Secret(node["homeserver_url"].text().rstrip("/")),
        *defaults.usual(node, auth=Authorization("Bearer", token)),
        room=node["room_id"].text(),
        text=defaults.words(node["text"], '{{ template "matrix.default.text" . }}'),
        html=defaults.library.words(node["html"], html=True),
        kind=node["msgtype"].one_of("m.text", "m.notice", default="m.text"),
    )
