"""What is run by hand, and whose records are kept in docs/: the search of hyper-parameters, what the loop and the gate cost."""
