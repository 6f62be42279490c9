"""Free text: answers compared as normalised strings."""
