"""deepmat's own network: small, fast on CPUs, with weights in the package."""
