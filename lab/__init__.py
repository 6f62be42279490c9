"""The laboratory: a policy of our own, and trainings of it with every kind of reward. Not in the wheel of memreward."""
