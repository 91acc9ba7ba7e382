"""The person's desktop: D-Bus, presence, start at login, clipboard, menu entries, opening files."""
