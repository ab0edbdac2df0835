"""The API services of a project on the Design node: their settings, and the packages that are made of them."""
