"""Ways to tell: desktop popups, and the outbox whose mail a short-lived child process sends."""
