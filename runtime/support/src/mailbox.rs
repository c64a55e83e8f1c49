//! Requests to a task that owns some state, and its replies.

use tokio::sync::{mpsc, oneshot};

/// The sending half of an actor's queue.
#[derive(Debug)]
pub struct Mailbox<M>(mpsc::Sender<M>);

/// The actor has ended, or ended before it replied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task that answers has ended")]
pub struct ActorStopped;

impl<M> Mailbox<M> {
    pub fn new(sender: mpsc::Sender<M>) -> Self {
        Self(sender)
    }

    /// Sends a message that needs no reply. Waits while the queue is full.
    pub async fn send(&self, message: M) -> Result<(), ActorStopped> {
        self.0.send(message).await.map_err(|_| ActorStopped)
    }

    /// Sends the message that `request` makes of a reply channel, and waits for the reply.
    pub async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> M) -> Result<T, ActorStopped> {
        let (reply, answer) = oneshot::channel();
        self.send(request(reply)).await?;
        answer.await.map_err(|_| ActorStopped)
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn mailbox_returns_the_reply() {
        let (sender, mut inbox) = mpsc::channel::<(u32, oneshot::Sender<u32>)>(1);
        let mailbox = Mailbox::new(sender);
        let actor = async {
            let (number, reply) = inbox.recv().await.unwrap();
            reply.send(number + 1).unwrap();
        };
        let (answer, ()) = tokio::join!(mailbox.ask(|reply| (1, reply)), actor);
        assert_eq!(answer, Ok(2));
    }

    #[tokio::test]
    async fn mailbox_reports_an_actor_that_ended() {
        let (sender, inbox) = mpsc::channel::<oneshot::Sender<()>>(1);
        drop(inbox);
        assert_eq!(Mailbox::new(sender).ask(|reply| reply).await, Err(ActorStopped));
        let (sender, mut inbox) = mpsc::channel::<oneshot::Sender<()>>(1);
        let mailbox = Mailbox::new(sender);
        let (answer, ()) = tokio::join!(mailbox.ask(|reply| reply), async { drop(inbox.recv().await) });
        assert_eq!(answer, Err(ActorStopped), "it dropped the request");
    }
}
