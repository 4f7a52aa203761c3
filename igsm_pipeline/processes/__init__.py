"""Processes that compute: how they hear a stop, and how those that they started end with them."""
