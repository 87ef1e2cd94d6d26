"""What things are; knows no protocol."""
