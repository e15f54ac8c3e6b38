"""Evaluation: images drawn from a prompt set under a protocol, scored, and put into pictures."""
