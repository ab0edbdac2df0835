"""An API node: services with their generations, the calls that they answer, and the account of these calls."""
