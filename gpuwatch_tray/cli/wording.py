"""argparse's own words in the person's language: it asks the system's catalogues, which have none."""

from __future__ import annotations

import argparse

from gpuwatch_tray.language import N_, _

# Those that our command line can come to say; one that another Python words otherwise stays English.
WORDS = (
    N_("usage: "),
    N_("positional arguments"),
    N_("options"),
    N_("show this help message and exit"),
    N_("%(prog)s: error: %(message)s\n"),
    N_("argument %(argument_name)s: %(message)s"),
    N_("the following arguments are required: %s"),
    N_("unrecognized arguments: %s"),
    N_("expected one argument"),
    N_("not allowed with argument %s"),
    N_("invalid choice: %(value)r (choose from %(choices)s)"),
    N_("invalid %(type)s value: %(value)r"),
    N_("ambiguous option: %(option)s could match %(matches)s"),
    N_("ignored explicit argument %r"),
)


def speak() -> None:
    """Have argparse speak as we do; it looks its function up at each word."""
    vars(argparse).update(_=_)
