"""Where people, or a judge model, say which answers are right, and see what that bought."""
