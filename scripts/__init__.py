"""Scripts that are run by hand. docs/ holds their records and generated pages."""
