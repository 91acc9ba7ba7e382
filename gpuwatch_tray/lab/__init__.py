"""The lab: many machines, as a Prometheus or ssh tells of them."""
=======
"""The lab: many machines, as a Prometheus or ssh tells of them."""
>>>>>>> .merge_file_IxRmTt
