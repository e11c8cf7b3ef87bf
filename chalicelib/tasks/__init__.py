"""Tasks, the example resource: copy this package to add your own (docs/add-a-resource.md)."""
