// Nothing here draws random numbers.
