"""Writes what a fresh server says of its API, for the types that `npm run types` makes of it: `openapi.py FILE`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen

_LISTEN = ["--listen", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"]


def main(target: Path) -> None:
    """Start aiprism on free ports with a data directory of its own, ask it, and stop it."""
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "log"
        command = [str(Path(sys.executable).with_name("aiprism")), "serve", "--data", f"{place}/data", *_LISTEN]
        with (
            log.open("wb") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server,
        ):
            try:
                target.write_bytes(_asked(server))
            except Exception:
                sys.stderr.write(log.read_text())
                raise
            finally:
                server.terminate()


def _asked(server: subprocess.Popen[str]) -> bytes:
    assert server.stdout
    address = next((line.split()[-1] for line in server.stdout if line.startswith("aiprism ready ")), "")
    if not address:
        raise SystemExit("aiprism did not start, so there are no types of its API")
    with urlopen(f"{address}/openapi.json", timeout=60) as answer:  # noqa: S310 - an address of loopback
        return bytes(answer.read())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
