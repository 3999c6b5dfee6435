"""Amazon SNS: a message to a topic, an endpoint or a phone number, through boto3 (`pip install 'aiprism[aws]'`)."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiprism.httpconfig import NO_SECRET, Secret, secret
from aiprism.respond.channels.post import Answer, Entry, Globals, Letter, Verdict, cut_bytes, said
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_SMS, _BYTES, _SUBJECT = 1600, 256 * 1024, 100
_TARGETS = {"topic_arn": "TopicArn", "phone_number": "PhoneNumber", "target_arn": "TargetArn"}
_TEXTS = {"subject": '{{ template "sns.default.subject" . }}', "message": '{{ template "sns.default.message" . }}'}
_BUSY = {"Throttling", "ThrottledException", "KMSThrottling", "InternalError", "RequestLimitExceeded"}


@dataclass(frozen=True, slots=True)
class Sigv4:
    """Who signs; what is left out is found as AWS' own tools find it."""

    region: str = ""
    access_key: str = ""
    secret_key: Secret = NO_SECRET
    profile: str = ""
    role_arn: str = ""


@dataclass(frozen=True, slots=True)
class Sns(Entry):
    """One entry of `sns_configs`."""

    target: tuple[str, Words]
    texts: Mapping[str, Words]
    attributes: Mapping[str, Words] = field(default_factory=dict)
    sigv4: Sigv4 = field(default_factory=Sigv4)
    channel: str = "sns"

    def letter(self, message: Message, key: str) -> Letter:
        what, (kind, target) = seen(message), self.target
        texts, where = said(self.texts, what), target.of(what)
        size = _SMS if kind == "PhoneNumber" else _BYTES
        body: dict[str, Any] = {
            kind: where,
            "Message": cut_bytes(texts.get("message", message.title), size),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": text} for name, text in said(self.attributes, what).items()
            },
        }
        if subject := " ".join(texts.get("subject", "").encode("ascii", "replace").decode().split()):
            body["Subject"] = subject[:_SUBJECT]  # SNS takes one line of ASCII
        if where.endswith(".fifo"):
            body |= {"MessageGroupId": message.subject_id[:128], "MessageDeduplicationId": key[:128]}
        carry = functools.partial(_carry, sigv4=self.sigv4)
        return Letter(self.url, body, key, self.http, (self.sigv4.secret_key,), carry=carry)


async def _carry(letter: Letter, now: float, *, sigv4: Sigv4) -> Answer:
    return await asyncio.to_thread(_published, letter, sigv4)


def _published(letter: Letter, sigv4: Sigv4) -> Answer:
    import botocore.exceptions as aws

    try:
        _client(letter.url.reveal(), sigv4).publish(**letter.body)
    except aws.ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        busy = code in _BUSY or status >= 500 or status == 429
        return Answer(Verdict.AGAIN if busy else Verdict.REFUSED, f"SNS says {code}")
    except (aws.ParamValidationError, aws.ProfileNotFound, aws.NoRegionError, aws.InvalidRegionError) as error:
        return Answer(Verdict.REFUSED, f"SNS cannot be asked: {type(error).__name__}")
    except aws.BotoCoreError as error:  # without its text, which may hold what it was given
        return Answer(Verdict.AGAIN, f"SNS cannot be reached: {type(error).__name__}")
    return Answer(Verdict.DELIVERED)


def _client(url: str, sigv4: Sigv4) -> Any:
    import boto3
    from botocore.config import Config

    # The outbox repeats tries, with its own patience.
    config = Config(connect_timeout=10, read_timeout=10, retries={"total_max_attempts": 1})
    session = boto3.Session(
        aws_access_key_id=sigv4.access_key or None,
        aws_secret_access_key=sigv4.secret_key.reveal() or None,
        region_name=sigv4.region or None,
        profile_name=sigv4.profile or None,
    )
    if sigv4.role_arn:
        role = session.client("sts", config=config).assume_role(RoleArn=sigv4.role_arn, RoleSessionName="aiprism")
        given = role["Credentials"]
        session = boto3.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=sigv4.region or None
        )
    return session.client("sns", endpoint_url=url or None, config=config)


def read(node: Node, receiver: str, defaults: Globals) -> Sns:
    """The integration an entry of `sns_configs` describes."""
    node.fields("send_resolved", "http_config", "api_url", "sigv4", "attributes", *_TARGETS, *_TEXTS)
    given = [key for key in _TARGETS if node[key]]
    if len(given) != 1:
        raise node.error(f"sns_configs needs one of {', '.join(_TARGETS)}")
    if importlib.util.find_spec("boto3") is None:
        raise node.error("sns_configs needs boto3: pip install 'aiprism[aws]'")
    return Sns(
        Secret(node["api_url"].text("")),
        *defaults.usual(node),
        target=(_TARGETS[given[0]], defaults.words(node[given[0]])),
        texts=defaults.texts(node, _TEXTS),
        attributes=defaults.library.mapping(node["attributes"]),
        sigv4=_sigv4(node["sigv4"]),
    )


def _sigv4(node: Node) -> Sigv4:
    node.fields("region", "access_key", "secret_key", "secret_key_file", "profile", "role_arn")
    key = secret(node, "secret_key")
    if bool(node["access_key"]) != bool(key):
        raise node.error("access_key and secret_key go together")
    texts = {name: node[name].text("") for name in ("region", "access_key", "profile", "role_arn")}
    return Sigv4(secret_key=key, **texts)
