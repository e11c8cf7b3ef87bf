"""Generated files: the OpenAPI document and its page, IAM policies, licences."""
