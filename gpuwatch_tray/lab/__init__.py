"""Other machines: read by ssh, or from a Prometheus and its Alertmanager. I/O; what it means is in rules/."""
