"""Churn prediction for telephone customers: features, split, model, quality and scoring."""
