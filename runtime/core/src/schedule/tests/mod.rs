mod queue;
mod renewal;
mod retry;
mod world;
