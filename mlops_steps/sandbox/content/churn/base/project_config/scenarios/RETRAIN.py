from dataiku.scenario import Scenario

scenario = Scenario()
result = scenario.train_model("churn_model", build_mode="RECURSIVE_FORCED_BUILD")
scenario.build_dataset("model_metrics", build_mode="NON_RECURSIVE_FORCED_BUILD")
print(f"version {result.get_trained_model().get_new_version()} is active")
