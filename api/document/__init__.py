"""The API's own description: OpenAPI, the schema of a job, and the page that shows them."""
