"""Surveys of all accounts, for gauges and suggested links; no verdict follows from one."""
