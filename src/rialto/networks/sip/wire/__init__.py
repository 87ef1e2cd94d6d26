"""SIP codec and transactions, sans-I/O."""
