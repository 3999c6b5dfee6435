"""Slack's Web API: one call with the token of a bot, and what came back.

In: an `Ask`. Out: a `Reply`, never an error: what Slack says, or that nobody knows what became of it. No text that leaves this
module holds the token. Source: Slack's pages "Using the Slack Web API" and "Rate limits".
"""

from __future__ import annotations

import asyncio
import json
import re

import httpx

from aiprism.httpconfig import Authorization, HttpOptions, Secret, client
from aiprism.respond.beginning import PLAIN, beginning
from aiprism.respond.roomchannel import Ask, Reply

ADDRESS = "https://slack.com/api"
_TIMEOUT, _TOTAL = 10.0, 30.0
_MOST = 4 * 1024 * 1024  # bytes of a page of channels or messages
_TOO_MANY = 429


class SlackApi:
    """A workspace as one bot sees it."""

    def __init__(self, address: str, token: Secret) -> None:
        self._address = address.rstrip("/")
        self._client = client(HttpOptions(Authorization("Bearer", token), follow_redirects=False), timeout=_TIMEOUT)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def call(self, ask: Ask) -> Reply:
        """Ask once; the whole of it takes 30 seconds at most."""
        try:
            async with asyncio.timeout(_TOTAL):
                return await self._called(ask)
        except TimeoutError:  # before OSError, which it is one of
            return Reply(why=f"no whole answer within {_TOTAL:g} s")
        except OSError as error:  # the file with the token
            return Reply(why=f"the file with its token cannot be read: {error.strerror}")
        except httpx.HTTPError as error:
            # Only the kind of failure: httpx puts addresses into some of its messages.
            return Reply(why=f"it cannot be reached: {type(error).__name__}")

    async def _called(self, ask: Ask) -> Reply:
        form = dict(ask.form)
        request = self._client.build_request("POST", f"{self._address}/{ask.method}", headers=PLAIN, data=form)
        response = await self._client.send(request, stream=True)
        try:
            return _reply(response, await beginning(response, _MOST))
        finally:
            await response.aclose()


def _reply(response: httpx.Response, text: str) -> Reply:
    if response.status_code == _TOO_MANY:
        said = response.headers.get("Retry-After", "").strip()
        return Reply(error="ratelimited", retry_after=float(said) if re.fullmatch(r"\d{1,9}", said) else None)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not response.is_success or not isinstance(found, dict):
        return Reply(why=f"it answers HTTP {response.status_code}, and not as Slack does")
    if found.get("ok"):
        return Reply(found)
    return Reply(error=str(found.get("error") or "unknown_error"), needed=str(found.get("needed") or ""))
