"""The balancers in front of the nodes: one file for each kind."""
