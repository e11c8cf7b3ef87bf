"""Who may call a route, and the verification of tokens."""
