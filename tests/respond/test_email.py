"""Mails, to a real SMTP server (aiosmtpd): what they hold, how we log in, and what is made of refusals."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import socket
import ssl
import subprocess
from dataclasses import replace

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from aiprism.errors import ConfigError
from aiprism.respond.channels.post import Answer, Verdict, post
from tests.respond.making import T0, alert, cleared, routing
from tests.respond.test_channels import grouped

PASSWORD = "pass-word-TOPSECRET"


class Desk:
    """Keeps the mails, and answers RCPT TO with what `answers` says of the address."""

    def __init__(self):
        self.got = []
        self.answers = {}

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):
        self.got.append((session, envelope, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 kept"


class Server(Controller):
    """A server on a free port: aiosmtpd's own start() knocks at the port it was given, which 0 is not."""

    def _trigger_server(self):
        assert isinstance(self.server, asyncio.Server)
        socket.create_connection(self.server.sockets[0].getsockname()).close()


def login(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=False, auth_data=data)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mail")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "cert"]
    subprocess.run([*command, *names], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def servers(certificate):
    """A server with TLS and logins, and one that has neither."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert", certificate / "key")
    secure = Server(
        Desk(), "127.0.0.1", 0, tls_context=context, authenticator=login, auth_required=True, auth_require_tls=True
    )
    bare = Server(Desk(), "127.0.0.1", 0)
    implicit = Server(Desk(), "127.0.0.1", 0, ssl_context=context)
    running = {"secure": secure, "bare": bare, "implicit": implicit}
    for controller in running.values():
        controller.start()
    yield running
    for controller in running.values():
        controller.stop()


@pytest.fixture
def mails(servers):
    for controller in servers.values():
        controller.handler.got.clear()
        controller.handler.answers.clear()
    return servers


def address(controller):
    return f"127.0.0.1:{controller.server.sockets[0].getsockname()[1]}"


def mailer(controller, entry="", shared=""):
    """The integration of a file whose `email_configs` hold `entry` besides the address."""
    text = (
        f"global: {{smtp_smarthost: '{address(controller)}', smtp_from: 'aiprism <alerts@ai-prism.com>'{shared}}}\n"
        f"route: {{receiver: a}}\nreceivers:\n- name: a\n  email_configs:\n  - to: 'On Call <oncall@x.com>, b@x.com'\n{entry}"
    )
    [one] = routing(text).integrations("a")
    return one


@pytest.fixture(scope="module")
def sent():
    """Sends a mail on a loop that goes on after it, as the server's does: connections are closed a turn later."""
    with asyncio.Runner() as runner:

        def send(integration, message=None, key="NOTE1"):
            return runner.run(post(integration.letter(message or grouped(alert()), key), T0))

        yield send
        runner.run(asyncio.sleep(0.01))


def tls(certificate):
    return f", smtp_tls_config: {{ca_file: {certificate}/cert}}"


def account(certificate, password=PASSWORD):
    return f"{tls(certificate)}, smtp_auth_username: u, smtp_auth_password: {password}"


def test_a_mail_goes_over_tls_after_a_login_and_holds_html_and_text(mails, certificate, sent):
    mail = "    send_resolved: true\n    headers: {X-Team: 'ai {{ .Status }}', reply-to: r@x.com}\n"
    one = mailer(mails["secure"], mail, account(certificate))
    assert sent(one) == Answer(Verdict.DELIVERED)
    [(session, envelope, got)] = mails["secure"].handler.got
    assert session.ssl is not None
    assert (envelope.mail_from, envelope.rcpt_tos) == ("alerts@ai-prism.com", ["oncall@x.com", "b@x.com"])
    assert got["From"] == "aiprism <alerts@ai-prism.com>"
    assert got["To"] == "On Call <oncall@x.com>, b@x.com"
    assert got["Subject"] == "[FIRING:1] api-gateway errors since 14:15 UTC (HighErrorRate)"
    assert (got["X-Team"], got["Reply-To"], got["Auto-Submitted"]) == ("ai firing", "r@x.com", "auto-generated")
    assert got["Date"] == "Mon, 23 Nov 2026 14:15:01 +0000"
    assert [part.get_content_type() for part in got.iter_parts()] == ["text/plain", "text/html"]
    text, html = (part.get_content() for part in got.iter_parts())
    assert "HighErrorRate on api-gateway, since 2026-11-23 14:15:00 UTC" in text
    assert html.startswith("<!DOCTYPE html>")


def test_mails_of_one_group_are_one_thread(mails, sent):
    one = mailer(mails["bare"], "    require_tls: false\n    send_resolved: true\n")
    for key, message in (("N1", grouped(alert())), ("N2", grouped(cleared(alert(), T0 + 60)))):
        assert sent(one, message, key).verdict is Verdict.DELIVERED
    other = replace(grouped(alert()), subject_id="OTHER")
    assert sent(one, other, "N3").verdict is Verdict.DELIVERED
    first, second, third = (got for _, _, got in mails["bare"].handler.got)
    assert (first["Message-ID"], second["Message-ID"]) == ("<N1@localhost>", "<N2@localhost>")
    assert first["References"] == first["In-Reply-To"] == second["References"] != third["References"]
    assert second["Subject"].startswith("[RESOLVED:1]")
    daily = mailer(mails["bare"], "    require_tls: false\n    threading: {thread_by_date: daily}\n")
    off = mailer(mails["bare"], "    require_tls: false\n    threading: {enabled: false}\n")
    mails["bare"].handler.got.clear()
    assert [sent(daily).verdict, sent(off).verdict] == [Verdict.DELIVERED] * 2
    (_, _, dated), (_, _, single) = mails["bare"].handler.got
    assert "-2026-11-23@" in dated["References"]
    assert single["References"] is None


def test_tls_from_the_first_byte(mails, certificate, sent):
    one = mailer(mails["implicit"], "    force_implicit_tls: true\n", tls(certificate))
    assert sent(one) == Answer(Verdict.DELIVERED)
    assert len(mails["implicit"].handler.got) == 1


def test_a_server_without_tls_gets_no_mail_unless_told_so(mails, sent):
    answer = sent(mailer(mails["bare"]))
    assert answer.verdict is Verdict.REFUSED
    assert "offers no STARTTLS" in answer.reason
    assert mails["bare"].handler.got == []


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(mails, sent):
    answer = sent(mailer(mails["secure"]))
    assert answer.verdict is Verdict.AGAIN
    assert mails["secure"].handler.got == []


def test_a_wrong_password_is_refused_and_not_shown(mails, certificate, sent):
    one = mailer(mails["secure"], "", account(certificate, "wrong-TOPSECRET"))
    answer = sent(one)
    assert answer.verdict is Verdict.REFUSED
    assert answer.reason.startswith("SMTP 535")
    assert "TOPSECRET" not in repr(answer) + repr(one) + repr(one.letter(grouped(alert()), "k"))


@pytest.mark.parametrize(
    ("answers", "verdict", "reason"),
    [
        ({"oncall@x.com": "450 busy", "b@x.com": "451 later"}, Verdict.AGAIN, "SMTP 450: busy"),
        ({"oncall@x.com": "550 nobody", "b@x.com": "550 nobody"}, Verdict.REFUSED, "SMTP 550: nobody"),
        ({"oncall@x.com": "550 nobody"}, Verdict.DELIVERED, ""),  # the other one has it
    ],
)
def test_refusals_of_the_moment_are_tried_again_and_others_are_not(mails, answers, verdict, reason, sent):
    mails["bare"].handler.answers.update(answers)
    assert sent(mailer(mails["bare"], "    require_tls: false\n")) == Answer(verdict, reason)


def test_a_server_that_is_away_is_tried_again(mails, sent):
    one = mailer(mails["bare"], "    require_tls: false\n    smarthost: '127.0.0.1:1'\n")
    assert sent(one).verdict is Verdict.AGAIN


def test_a_label_cannot_add_a_header_or_a_recipient(mails, sent):
    evil = alert(endpoint="x\r\nBcc: evil@x.com")
    entry = "    require_tls: false\n    headers: {Subject: 'of {{ .CommonLabels.endpoint }}'}\n"
    assert sent(mailer(mails["bare"], entry), grouped(evil)).verdict is Verdict.DELIVERED
    [(_, envelope, got)] = mails["bare"].handler.got
    assert (got["Subject"], got["Bcc"]) == ("of x Bcc: evil@x.com", None)
    assert "evil@x.com" not in envelope.rcpt_tos


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("smarthost: mail", "expected host:port"),
        ("headers: {a: b, A: c}", "header 'A' stands twice"),
        ("headers: {Subject: b}, subject: c", "give subject or headers.Subject"),
        ("text: a, body: c", "give text or body"),
        ("threading: {thread_by_date: weekly}", "expected one of none, daily"),
        ("subjekt: a", "did you mean 'subject'"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_with_its_line(entry, why):
    text = (
        "global: {smtp_from: a@b}\nroute: {receiver: a}\nreceivers:\n- name: a\n"
        f"  email_configs: [{{to: a@b, {'' if 'smarthost' in entry else 'smarthost: x:25, '}{entry}}}]\n"
    )
    with pytest.raises(ConfigError, match=rf"^alertmanager\.yml:5: .*{why}"):
        routing(text)


@pytest.mark.parametrize("lack", ["smtp_from", "smtp_smarthost", "to"])
def test_what_every_mail_needs_is_asked_for(lack):
    given = {"smtp_from": "a@b", "smtp_smarthost": "x:25"}
    given.pop(lack, "")
    entry = {} if lack == "to" else {"to": "a@b"}
    entry["html"] = ""
    with pytest.raises(ConfigError, match=lack):
        routing(
            f"global: {json.dumps(given)}\nroute: {{receiver: a}}\nreceivers: [{{name: a, email_configs: [{json.dumps(entry)}]}}]"
        )
