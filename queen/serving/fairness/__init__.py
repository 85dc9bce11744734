"""Fair shares of a service: whose turn it is, and how much an owner may hold."""
