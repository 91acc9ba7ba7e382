"""The lab: many machines, as a Prometheus or ssh tells of them."""
