"""Development tools, never shipped: the local server, deployment, and generated files."""
