"""How a node runs the app: one file for each kind."""
