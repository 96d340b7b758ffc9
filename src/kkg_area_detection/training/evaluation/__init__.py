"""How good a model is: ``scores`` compares one drawing, ``summary`` adds up many, ``report`` shows them."""
