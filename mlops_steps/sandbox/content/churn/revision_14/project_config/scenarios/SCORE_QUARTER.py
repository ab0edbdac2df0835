from dataiku.scenario import Scenario

scenario = Scenario()
# The reference too: the customers that the model was trained on came with the bundle.
scenario.build_dataset("customers_test", build_mode="RECURSIVE_FORCED_BUILD")
scenario.build_dataset("customers_now", build_mode="NON_RECURSIVE_FORCED_BUILD")
