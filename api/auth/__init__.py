"""Who may use the service, and how much: keys, the page's sessions, scopes, quotas."""
