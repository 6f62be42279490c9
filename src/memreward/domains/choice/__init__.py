"""Multiple choice: answers compared by the option they name."""
