"""`export`: the metrics of this machine, for a Prometheus to scrape or as a file for node_exporter."""

from __future__ import annotations

import argparse
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.app.context import UsageError, WorkError
from gpuwatch_tray.cli.base import HIGHEST_PORT
from gpuwatch_tray.cli.printing import show, warn
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.app.exporter import ExportFeed
    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.export.endpoint import TlsFiles
    from gpuwatch_tray.export.rows import Rows


DEFAULT = ("127.0.0.1", 9836)
WRITE_EVERY = 15.0  # seconds between two files, as often as Prometheus asks by default
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:\[\]]+)):(?P<port>[0-9]{1,5})")


def add_commands(commands: CommandGroup) -> None:
    """Add `export`."""
    parser = commands.command(
        "export",
        run_export,
        _("offer this machine's GPUs to a Prometheus"),
        "export",
        "export --once",
        "export --textfile /srv/node-exporter/gpuwatch.prom",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--listen",
        type=listen_address,
        metavar="ADDRESS:PORT",
        help=_("where Prometheus asks: 127.0.0.1:9836 by default; elsewhere it wants --tls-cert"),
    )
    where.add_argument(
        "--textfile", type=Path, metavar="FILE", help=_("write a file for node_exporter every 15 s instead")
    )
    parser.add_argument(
        "--once", action="store_true", help=_("print the metrics, or write the file, and end")
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help=_("the certificate, and with it TLS"))
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help=_("its key, where it is not in it"))
    parser.add_argument(
        "--tls-client-ca",
        type=Path,
        metavar="FILE",
        help=_("let in only who has a certificate of this authority"),
    )
    parser.add_argument(
        "--unencrypted",
        action="store_true",
        help=_("listen in the network without TLS: anyone there can read who computes what"),
    )


def listen_address(text: str) -> tuple[str, int]:
    """Parse an address and a port, as `127.0.0.1:9836` or `[::1]:9836`."""
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 <= int(found["port"]) <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(
            _("expected an address and a port such as 127.0.0.1:9836, got {text!r}").format(text=text)
        )
    return found["six"] or found["host"], int(found["port"])


def run_export(context: RunContext, args: argparse.Namespace) -> int:
    """Offer the metrics until a signal comes, or tell them once. Raises UsageError and WorkError."""
    from gpuwatch_tray.app.exporter import ExportFeed

    context.require_valid_settings()
    tls = _tls(args)
    if context.simulated and not args.once:
        raise UsageError(
            _("simulated GPUs are not offered: they would count as real ones (--once shows them)")
        )
    feed = ExportFeed(context)
    try:
        if args.textfile is not None:
            return _write_files(feed, args.textfile, once=args.once)
        if args.once:
            from gpuwatch_tray.export.endpoint import metrics_text

            sys.stdout.write(metrics_text(*feed.read()))
            return 0
        warn(context)
        return _listen(feed, args.listen or DEFAULT, tls)
    finally:
        feed.close()


def _tls(args: argparse.Namespace) -> TlsFiles | None:
    """Return the files of TLS, None without. Raises UsageError where the address wants them."""
    from gpuwatch_tray.settings.validators import is_loopback

    if args.tls_cert is None and (args.tls_key is not None or args.tls_client_ca is not None):
        raise UsageError(_("--tls-key and --tls-client-ca need --tls-cert"))
    if args.tls_cert is not None:
        if args.textfile is not None or args.once:
            raise UsageError(_("--tls-cert is for --listen"))
        from gpuwatch_tray.export.endpoint import TlsFiles

        return TlsFiles(args.tls_cert, args.tls_key, args.tls_client_ca)
    if args.listen is not None and not is_loopback(args.listen[0]) and not args.unencrypted:
        text = _(
            "{host} can be reached from the network: give --tls-cert (and --tls-client-ca, to choose who may"
            " read), or accept with --unencrypted that anyone there can read who computes what"
        )
        raise UsageError(text.format(host=args.listen[0]))
    return None


def _listen(feed: ExportFeed, address: tuple[str, int], tls: TlsFiles | None) -> int:
    from gpuwatch_tray.app.headless import stop_on_signals
    from gpuwatch_tray.export.endpoint import Endpoint, EndpointError

    host, port = address
    done = threading.Event()
    stop_on_signals(done.set)
    try:
        endpoint = Endpoint(host, port, feed.read, tls)
    except EndpointError as error:
        raise WorkError(str(error)) from error
    scheme, shown = "http" if tls is None else "https", f"[{host}]" if ":" in host else host
    try:
        endpoint.start()
        feed.read()  # the driver takes seconds to begin with: not the first scrape's
        text = _("Prometheus can ask at {url}. Stop with Ctrl-C.")
        show(text.format(url=f"{scheme}://{shown}:{endpoint.port}/metrics"))
        while not done.wait(1.0):  # a bounded wait lets Windows deliver Ctrl-C
            pass
    finally:
        endpoint.stop()
    return 0


def _write_files(feed: ExportFeed, file: Path, *, once: bool) -> int:
    """Write the file every 15 s; in the end one without readings, as node_exporter goes on telling it."""
    from gpuwatch_tray.app.exporter import write_textfile
    from gpuwatch_tray.app.headless import stop_on_signals
    from gpuwatch_tray.export.endpoint import metrics_text

    done = threading.Event()
    stop_on_signals(done.set)

    def write(told: tuple[Rows, float | None]) -> str:
        rows, since = told
        # A file's clock stands still between two writes: it would look like one that is wrong.
        kept = {name: values for name, values in rows.items() if name != "host_clock_timestamp_seconds"}
        try:
            write_textfile(file, metrics_text(kept, since))
        except OSError as error:
            return _("{file} cannot be written: {why}").format(file=file, why=error.strerror or error)
        return ""

    if trouble := write(feed.read()):
        raise WorkError(trouble)
    if once:
        return 0
    show(_("Writing {file} every {seconds:g} s. Stop with Ctrl-C.").format(file=file, seconds=WRITE_EVERY))
    told = ""
    while not done.wait(WRITE_EVERY):
        trouble = write(feed.read())
        if trouble and trouble != told:
            show(trouble, stream=sys.stderr)
        told = trouble
    if trouble := write(feed.blind()):
        raise WorkError(trouble)
    return 0
