"""argparse's own texts in the person's language."""

from __future__ import annotations

import argparse

from gpuwatch_tray.language import N_, _

# The texts of argparse that this command line can print, for the catalogue; a text that another version of
# Python words otherwise stays English.
ARGPARSE_TEXTS = (
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


def translate_argparse() -> None:
    """Have argparse use our catalogue: it asks the system's, which has none of its texts."""
    vars(argparse).update(_=_)
