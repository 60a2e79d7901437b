//! A race with a fixed order: something else happens at a chosen step of a request.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use tokio::sync::Notify;

/// What came of a request during which something else happened.
pub struct Interrupted<T> {
    pub answer: T,
    /// Whether it happened before the request was done.
    pub in_time: bool,
}

#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Drives `request` by hand, and has `meanwhile` happen before its step `at`: the first step is 0, and each ends where the
/// request waits for something, such as a read of the store or a hash, which is done by the next one.
pub async fn interrupted<T>(
    request: impl Future<Output = T>,
    at: usize,
    meanwhile: impl Future<Output = ()>,
) -> Interrupted<T> {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut request = pin!(request);
    let (mut meanwhile, mut step) = (Some(meanwhile), 0);
    loop {
        if step == at
            && let Some(meanwhile) = meanwhile.take()
        {
            meanwhile.await;
        }
        if let Poll::Ready(answer) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Interrupted { answer, in_time: meanwhile.is_none() };
        }
        woken.0.notified().await;
        step += 1;
    }
}
