"""What operators have agreed, and what it costs."""
