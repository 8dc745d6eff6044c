"""Access to the service: keys, the page's sessions, scopes, quotas."""
