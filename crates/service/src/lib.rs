//! Runs each machine on tokio with links and store; one module per task.
