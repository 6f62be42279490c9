"""Adapters to trainers: translation only."""
