"""How pocket, the small ACE++ that ships with the project, is made."""
