"""The API's description: OpenAPI, the schema of a job, and the page that shows them."""
