//! The embedded IAM and STS simulator.
