"""Answers to the requests of a micro-batch, as verdicts and profiles demand."""
