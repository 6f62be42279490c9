"""What several domains use: marks, dress, commitment, worker processes, verdicts kept."""
