//! Builds the services from a config, turns commands into service calls, owns start and stop.
