"""What is generated from the code: OpenAPI document, docs page, README's routes, policies, merge template, licences."""
