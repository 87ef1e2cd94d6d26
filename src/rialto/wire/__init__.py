"""The kit for protocol machines: no I/O, no clock."""
