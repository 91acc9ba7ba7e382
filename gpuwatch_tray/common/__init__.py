"""What several rooms share: text widths, threads, child processes, redaction, the process list."""
