"""A decoder that prefills a prompt once for its group, for the many small trainings of the laboratory."""
