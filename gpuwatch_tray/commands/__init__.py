"""The running process: the tray, `watch`, and what they answer to commands."""
