"""Claims of studies: how they relate cases, and what the evidence of a run says of them."""
