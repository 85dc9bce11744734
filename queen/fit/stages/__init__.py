"""The stages of a fit, one file each, in the order of `queen.fit.fitting`.

A stage is a function from what came before, a `Fitted`, to the part that it adds.
"""
