"""Email: one mail of HTML and text, over SMTP. Mails about one incident or group make one thread.

In: an entry of `email_configs` with the `smtp_*` of `global`, and a `Message`. Out: a `Letter` that carries itself by
SMTP instead of HTTP. As in Alertmanager, TLS is required unless `require_tls: false`, and a password is never sent in
clear to another machine. `subject` and `body`, which Alertmanager does not know, are taken for `headers.Subject` and `text`.
"""

from __future__ import annotations

import base64
import functools
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses

import aiosmtplib
import structlog

from aiprism.credentials import Tls, tls
from aiprism.httpconfig import NO_SECRET, HttpOptions, Secret, secret
from aiprism.respond.channels.post import Answer, Globals, Letter, Verdict
from aiprism.respond.message import Message
from aiprism.respond.template import Seen, TemplateError, Words, seen
from aiprism.yamlfile import Node

log = structlog.get_logger()

_FIELDS = (
    "send_resolved", "to", "from", "hello", "smarthost", "auth_username", "auth_password", "auth_password_file",
    "auth_secret", "auth_secret_file", "auth_identity", "headers", "html", "text", "require_tls", "tls_config",
    "force_implicit_tls", "threading", "subject", "body",
)  # fmt: skip
ALIASES = {"subject": "headers.Subject", "body": "text"}
_TIMEOUT = 10.0
_IMPLICIT = 465  # where TLS begins with the connection (RFC 8314)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OWN = {"from", "to", "subject"}


@dataclass(frozen=True, slots=True)
class Smtp:
    """The server that takes our mails, and who we are there."""

    host: str
    port: int
    hello: str = "localhost"
    username: str = ""
    password: Secret = NO_SECRET
    cram: Secret = NO_SECRET  # `auth_secret`: what CRAM-MD5 signs with
    identity: str = ""
    require_tls: bool = True
    implicit: bool = False
    tls: Tls = field(default_factory=Tls)

    def secrets(self) -> tuple[Secret, ...]:
        """What must not be seen in an answer we quote."""
        return (self.password, self.cram)


@dataclass(frozen=True, slots=True)
class Digest:
    """How a daily digest is worded, whatever the entry says of alerts: by templates `email.digest.…`."""

    subject: Words
    html: Words
    text: Words


@dataclass(frozen=True, slots=True)
class Email:
    """One entry of `email_configs`."""

    smtp: Smtp
    send_resolved: bool
    sender: Words
    to: Words
    subject: Words
    html: Words
    text: Words
    headers: Mapping[str, Words] = field(default_factory=dict)
    thread: str = (
        "none"  # `none`: one thread as long as the group lives; `daily`: a new one each day; empty: no threads
    )
    digest: Digest | None = None
    channel: str = "email"

    @property
    def url(self) -> Secret:
        return Secret(f"smtp://{self.smtp.host}:{self.smtp.port}")

    def wants(self, message: Message) -> bool:
        return self.send_resolved or not message.over

    def letter(self, message: Message, key: str) -> Letter:
        if message.digest and self.digest:
            words = self.digest
            worded = replace(self, digest=None, subject=words.subject, html=words.html, text=words.text)
            return worded.letter(message, key)
        what = seen(message)
        sender, recipients = _sender(self.sender.of(what)), _recipients(self.to.of(what))
        mail = _mail(self, message, what, key)
        carry = functools.partial(_carry, smtp=self.smtp, sender=sender, recipients=recipients, mail=mail.as_bytes())
        return Letter(self.url, {}, key, HttpOptions(), self.smtp.secrets(), carry=carry)


# -- reading ---------------------------------------------------------------------------------------------------------


def read(node: Node, receiver: str, defaults: Globals) -> Email:
    """The integration an entry of `email_configs` describes."""
    node.fields(*_FIELDS)
    headers, words = _headers(node, defaults), defaults.words
    if not node["to"]:
        raise node.error(f"receiver {receiver!r} has no address: give email_configs a `to`")
    sender = node["from"] or defaults.given["smtp_from"]
    if not sender:
        raise node.error("no sender: give `from` here, or global.smtp_from")
    return Email(
        smtp=_smtp(node, defaults.given),
        send_resolved=node["send_resolved"].flag(False),
        sender=headers.pop("from", words(sender)),
        to=words(node["to"]),
        subject=headers.pop("subject", words(node["subject"], '{{ template "email.default.subject" . }}')),
        html=defaults.library.words(node["html"], '{{ template "email.default.html" . }}', html=True),
        text=words(node["text"] or node["body"], "" if node["html"] else '{{ template "email.default.text" . }}'),
        headers=headers,
        thread=_thread(node["threading"]),
        digest=_digest(defaults),
    )


def _digest(defaults: Globals) -> Digest:
    nothing = Node(None, "", 1, "")
    text = {part: f'{{{{ template "email.digest.{part}" . }}}}' for part in ("subject", "html", "text")}
    return Digest(
        subject=defaults.words(nothing, text["subject"]),
        html=defaults.library.words(nothing, text["html"], html=True),
        text=defaults.words(nothing, text["text"]),
    )


def _smtp(node: Node, given: Node) -> Smtp:
    place = node["smarthost"] or given["smtp_smarthost"]
    if not place:
        raise node.error("no mail server: give `smarthost` here, or global.smtp_smarthost, as host:port")
    host, colon, port = place.text().rpartition(":")
    if not colon or not port.isdigit():
        raise place.error(f"expected host:port, not {place.text()!r}")
    password, cram = _own_or_global(node, given, "auth_password"), _own_or_global(node, given, "auth_secret")
    return Smtp(
        host=host.strip("[]"),
        port=int(port),
        hello=(node["hello"] or given["smtp_hello"]).text("localhost"),
        username=(node["auth_username"] or given["smtp_auth_username"]).text(""),
        password=password,
        cram=cram,
        identity=(node["auth_identity"] or given["smtp_auth_identity"]).text(""),
        require_tls=(node["require_tls"] or given["smtp_require_tls"]).flag(True),
        implicit=(node["force_implicit_tls"] or given["smtp_force_implicit_tls"]).flag(int(port) == _IMPLICIT),
        tls=tls(node["tls_config"] or given["smtp_tls_config"]),
    )


def _own_or_global(node: Node, given: Node, key: str) -> Secret:
    return secret(node, key) or secret(given, f"smtp_{key}")


def _headers(node: Node, defaults: Globals) -> dict[str, Words]:
    """The headers by their names, of which those we write ourselves are in lower case."""
    headers: dict[str, Words] = {}
    for name, value in node["headers"].entries().items():
        if not re.fullmatch(r"[!-9;-~]+", name):
            raise value.error(f"{name!r} is no name of a mail header")
        known = name.lower() if name.lower() in _OWN else name.title()
        if known in headers:
            raise value.error(f"header {name!r} stands twice")
        headers[known] = defaults.words(value)
    if "subject" in headers and node["subject"]:
        raise node["subject"].error("give subject or headers.Subject, not both")
    if node["text"] and node["body"]:
        raise node["body"].error("give text or body, not both")
    return headers


def _thread(node: Node) -> str:
    node.fields("enabled", "thread_by_date")
    if not node["enabled"].flag(True):
        return ""
    return node["thread_by_date"].one_of("none", "daily", default="none")


# -- the mail --------------------------------------------------------------------------------------------------------


def _sender(text: str) -> str:
    found = _addresses(text)
    if len(found) != 1:
        raise TemplateError(f"a mail has one sender, not {len(found)}: {text!r}")
    return found[0]


def _recipients(text: str) -> list[str]:
    found = _addresses(text)
    if not found:
        raise TemplateError("`to` names nobody")
    return found


def _addresses(text: str) -> list[str]:
    found = [address for _, address in getaddresses([text]) if address]
    for address in found:
        try:
            Address(addr_spec=address)
        except (HeaderParseError, ValueError, IndexError):
            raise TemplateError(f"{address!r} is no mail address") from None
    return found


def _mail(email: Email, message: Message, what: Seen, key: str) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = _line(email.sender.of(what)), _line((email.headers.get("to") or email.to).of(what))
    mail["Subject"] = _line(email.subject.of(what))
    mail["Date"] = datetime.fromtimestamp(message.at, UTC)
    domain = re.sub(r"[^\w.-]", "", email.smtp.hello) or "localhost"
    mail["Message-ID"] = f"<{key}@{domain}>"
    if email.thread:
        mail["In-Reply-To"] = mail["References"] = _root(email, message, domain)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes, please
    for name, words in email.headers.items():
        if name not in _OWN:
            del mail[name]
            mail[name] = _line(words.of(what))
    text, html = email.text.of(what), email.html.of(what)
    if text or not html:
        mail.set_content(text, cte="quoted-printable")
    if html and text:
        mail.add_alternative(html, subtype="html", cte="quoted-printable")
    elif html:
        mail.set_content(html, subtype="html", cte="quoted-printable")
    return mail


def _line(text: str) -> str:
    """A header is one line: nobody adds headers by a line break in a label."""
    return re.sub(r"\s*[\r\n]+\s*", " ", text).strip()


def _root(email: Email, message: Message, domain: str) -> str:
    """The mail that all of a thread answer, which was never sent: mail programs need no more to keep them together."""
    day = f"-{datetime.fromtimestamp(message.at, UTC):%Y-%m-%d}" if email.thread == "daily" else ""
    return f"<thread-{message.subject_id}{day}@{domain}>"


# -- sending ---------------------------------------------------------------------------------------------------------


class _Refused(Exception):
    """The server cannot be given the mail as it is configured."""


async def _carry(letter: Letter, now: float, *, smtp: Smtp, sender: str, recipients: list[str], mail: bytes) -> Answer:
    try:
        return await _sent(smtp, sender, recipients, mail)
    except _Refused as error:
        return Answer(Verdict.REFUSED, str(error))
    except aiosmtplib.SMTPRecipientsRefused as error:
        return _judged(letter, error.recipients)
    except aiosmtplib.SMTPResponseException as error:
        return _judged(letter, [error])
    except aiosmtplib.SMTPException as error:
        return Answer(Verdict.AGAIN, f"cannot be reached: {_words(error)}")
    except ssl.SSLError as error:
        return Answer(Verdict.AGAIN, f"TLS failed: {error.reason or 'no reason given'}")


def _words(error: Exception) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.removeprefix("SMTP")).lower()


def _judged(letter: Letter, errors: Sequence[aiosmtplib.SMTPResponseException]) -> Answer:
    """Of 4xx the server itself says that it will pass (RFC 5321, 4.2.1)."""
    worst = min(errors, key=lambda error: error.code)
    text = " ".join(str(worst.message).split())
    for hidden in letter.secrets:
        text = text.replace(hidden.reveal(), "<secret>") if hidden else text
    return Answer(Verdict.AGAIN if 400 <= worst.code < 500 else Verdict.REFUSED, f"SMTP {worst.code}: {text[:200]}")


async def _sent(smtp: Smtp, sender: str, recipients: list[str], mail: bytes) -> Answer:
    # One connection per mail, as Alertmanager does: mails are few, and servers drop who idles.
    client = aiosmtplib.SMTP(
        hostname=smtp.host,
        port=smtp.port,
        local_hostname=smtp.hello,
        timeout=_TIMEOUT,
        use_tls=smtp.implicit,
        start_tls=False,
        tls_context=smtp.tls.context() if smtp.implicit else None,
    )
    async with client:
        secure = smtp.implicit or await _secured(client, smtp)
        await _introduced(client, smtp, secure=secure)
        refused, _ = await client.sendmail(sender, recipients, mail)
    for address, response in refused.items():  # the others have it, and would have it twice
        log.warning("mail.recipient_refused", recipient=address, code=response.code)
    return Answer(Verdict.DELIVERED)


async def _secured(client: aiosmtplib.SMTP, smtp: Smtp) -> bool:
    await client.ehlo()
    if not client.supports_extension("starttls"):
        if smtp.require_tls:
            raise _Refused("the mail server offers no STARTTLS, and require_tls is true (which it is by default)")
        return False
    await client.starttls(server_hostname=smtp.tls.server_name or smtp.host, tls_context=smtp.tls.context())
    return True


async def _introduced(client: aiosmtplib.SMTP, smtp: Smtp, *, secure: bool) -> None:
    """Log in by the best way that the server offers and we have a secret for."""
    if not smtp.username:
        return
    await client.ehlo()
    offered = {name.lower() for name in client.server_auth_methods}
    if smtp.cram and "cram-md5" in offered:
        await client.auth_crammd5(smtp.username, smtp.cram.reveal())
        return
    way = next((_WAYS[name] for name in _WAYS if smtp.password and name in offered), None)
    if way is None:
        raise _Refused(f"no way to log in: the mail server offers {', '.join(sorted(offered)) or 'none'}")
    if not secure and smtp.host not in _LOOPBACK:
        raise _Refused("the password is not sent over a connection without TLS")
    await way(client, smtp)


async def _plain(client: aiosmtplib.SMTP, smtp: Smtp) -> None:
    words = "\0".join((smtp.identity, smtp.username, smtp.password.reveal()))
    answer = await client.execute_command(b"AUTH", b"PLAIN", base64.b64encode(words.encode()))
    if answer.code != 235:
        raise aiosmtplib.SMTPAuthenticationError(answer.code, answer.message)


async def _login(client: aiosmtplib.SMTP, smtp: Smtp) -> None:
    await client.auth_login(smtp.username, smtp.password.reveal())


_WAYS = {"plain": _plain, "login": _login}
