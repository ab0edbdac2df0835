"""The version of DSS that the nodes say they are."""

DSS_VERSION = "13.5.2"
