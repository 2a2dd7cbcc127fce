"""Large datasets, made by Ray Data on this machine or on a cluster."""
