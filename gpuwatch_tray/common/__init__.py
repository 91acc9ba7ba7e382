"""What several rooms share and no library gives: text widths, threads, child processes, redaction, the process list."""
