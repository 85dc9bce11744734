"""The answers of the profiles past the budget, and the shadow models that the reversal follows."""
