"""The demonstration, on embedded parts or on the real servers of a stack."""
