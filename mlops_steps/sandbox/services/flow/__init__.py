"""The flow: datasets, managed folders, recipes, saved models, and the jobs that build them."""
