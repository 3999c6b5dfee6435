"""WeChat Work: an application's message, after a token was asked for with the corporation's secret."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiprism.httpconfig import Secret, client
from aiprism.respond.channels.post import Answer, Entry, Globals, Letter, Verdict, cut_bytes, post, said
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_BYTES = 2048  # of a text's content
_TEXTS = {
    "message": '{{ template "wechat.default.message" . }}',
    "to_user": '{{ template "wechat.default.to_user" . }}',
    "to_party": '{{ template "wechat.default.to_party" . }}',
    "to_tag": '{{ template "wechat.default.to_tag" . }}',
    "agent_id": '{{ template "wechat.default.agent_id" . }}',
}
_FIELDS = (
    "send_resolved",
    "http_config",
    "api_url",
    "api_secret",
    "api_secret_file",
    "corp_id",
    "message_type",
    *_TEXTS,
)
_BUSY = {-1, 40014, 42001, 45009}  # the system is busy, a token that is over, too many calls


@dataclass(frozen=True, slots=True)
class WeChat(Entry):
    """One entry of `wechat_configs`."""

    api_secret: Secret
    corp_id: str
    texts: Mapping[str, Words]
    kind: str = "text"
    channel: str = "wechat"

    def letter(self, message: Message, key: str) -> Letter:
        texts = said(self.texts, seen(message))
        body = {
            "touser": texts.get("to_user", ""),
            "toparty": texts.get("to_party", ""),
            "totag": texts.get("to_tag", ""),
            "agentid": texts.get("agent_id", ""),
            "msgtype": self.kind,
            self.kind: {"content": cut_bytes(texts.get("message", ""), _BYTES)},
            "safe": "0",
        }
        carry = functools.partial(_carry, corp_id=self.corp_id, api_secret=self.api_secret)
        return Letter(self.url, body, key, self.http, (self.api_secret,), judge=_judge, carry=carry)


async def _carry(letter: Letter, now: float, *, corp_id: str, api_secret: Secret) -> Answer:
    # A token for each message: WeChat gives out the same one again until it is over.
    base, asked = letter.url.reveal(), {"corpid": corp_id, "corpsecret": api_secret.reveal()}
    async with client(letter.http, timeout=10.0) as sender:
        response = await sender.get(f"{base}/gettoken", params=asked)
    if response.status_code != 200:
        return Answer(Verdict.AGAIN if response.status_code >= 500 else Verdict.REFUSED, f"HTTP {response.status_code}")
    if (refused := _judge(response.text)) is not None:
        return refused
    token = Secret(str(response.json().get("access_token", "")))
    url = Secret(f"{base}/message/send?access_token={token.reveal()}")
    return await post(replace(letter, url=url, secrets=(*letter.secrets, token), carry=None), now)


def _judge(text: str) -> Answer | None:
    try:
        answer = json.loads(text)
    except ValueError:
        return Answer(Verdict.AGAIN, "WeChat's answer is no JSON")
    code = answer.get("errcode", 0) if isinstance(answer, dict) else -1
    if not code:
        return None
    why = f"WeChat says {code}: {str(answer.get('errmsg', ''))[:100]}"
    return Answer(Verdict.AGAIN if code in _BUSY else Verdict.REFUSED, why)


def read(node: Node, receiver: str, defaults: Globals) -> WeChat:
    """The integration an entry of `wechat_configs` describes."""
    node.fields(*_FIELDS)
    corp_id = node["corp_id"] or defaults.given["wechat_api_corp_id"]
    if not corp_id:
        raise node.error("wechat_configs needs a corp_id, here or as global.wechat_api_corp_id")
    return WeChat(
        Secret(defaults.address(node["api_url"], "wechat_api_url", "https://qyapi.weixin.qq.com/cgi-bin")),
        *defaults.usual(node, good_news=False),
        api_secret=defaults.key(node, "api_secret", "wechat_api_secret"),
        corp_id=corp_id.text(),
        texts=defaults.texts(node, _TEXTS),
        kind=node["message_type"].one_of("text", "markdown", default="text"),
    )
