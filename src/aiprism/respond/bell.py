"""A bell: whoever made work rings it, whoever waits for work wakes at once instead of at its next look.

Ringing is allowed from any thread. A ring while nobody waits is remembered, so nothing that was done between a look
and the wait is missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading

from aiprism.clock import Clock


class Bell:
    """Rung by anyone, waited for by few."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rung = False
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def ring(self) -> None:
        """Wake those who wait, or the next one who will."""
        with self._lock:
            waiting = tuple(self._waiting)
            self._rung = not waiting
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # its loop has closed meanwhile: the process is going down
                loop.call_soon_threadsafe(event.set)

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Return when rung, or once `seconds` have passed on `clock`."""
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if self._rung:
                self._rung = False
                return
            self._waiting.add(waiter)
        rung, slept = asyncio.ensure_future(waiter[1].wait()), asyncio.ensure_future(clock.sleep(seconds))
        try:
            await asyncio.wait((rung, slept), return_when=asyncio.FIRST_COMPLETED)
        finally:
            rung.cancel()
            slept.cancel()
            with self._lock:
                self._waiting.discard(waiter)
