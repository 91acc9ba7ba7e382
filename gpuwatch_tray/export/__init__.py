"""
What a machine tells a Prometheus: the metrics of a snapshot, the endpoint, and what Prometheus needs to know.

prometheus-client is imported by `endpoint.py` alone: the tray works out rows of plain numbers.
"""
