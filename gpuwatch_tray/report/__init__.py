"""The details page: what the tray may load of it is `present`; the rest is for a process of its own."""
