"""Documents, and the program that writes the reference pages (`docs.generate`). No product code imports it."""
