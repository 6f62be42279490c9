"""The group store that several workers share: the reward over HTTP, and what it needs to run alone."""
