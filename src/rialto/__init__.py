"""Rialto: a gateway and exchange for instant messaging and presence."""

__version__ = "0.1.0.dev0"
