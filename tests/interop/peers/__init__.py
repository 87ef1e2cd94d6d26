"""The software at the other end: one module for each server or client, each of them somebody else's."""
