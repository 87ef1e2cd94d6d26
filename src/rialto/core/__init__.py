"""The hub: from one network to another, one message at a time."""
