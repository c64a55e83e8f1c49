//! Workers as real processes beside a real coordinator: which workers are admitted, what reaches the workload, and what it sees while
//! processes, disks, links and receivers fail.

mod addresses;
mod allowed;
mod audits;
mod aws_cli;
mod changes;
mod containers;
mod endpoints;
mod expiry;
mod fullness;
mod joining;
mod kills;
mod lives;
mod once;
mod outputs;
mod partition;
mod paused;
mod rejections;
mod replicas;
mod replicas_chaos;
mod replicas_storm;
mod restored;
mod sealed;
mod services;
mod shut_out;
pub(crate) mod site;
mod strangers;
mod traced;
mod troubles;
mod unit;
mod vitals;
mod watcher;
