"""What is generated from the code: the OpenAPI document, its page, policies, templates, licences."""
