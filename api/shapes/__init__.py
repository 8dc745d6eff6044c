"""The shapes of all answers, as models: each answer is built from its model, and the OpenAPI document describes it."""
