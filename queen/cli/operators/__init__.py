"""The operators of the admin API, made on the command line."""
