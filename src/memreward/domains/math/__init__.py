"""Mathematics: answers compared by value or structure."""
