"""The HTTP layer, which knows no resource: requests, responses, and the app's `route()`."""
