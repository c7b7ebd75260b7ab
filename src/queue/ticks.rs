//! When a lane looks for jobs: soon after news, a little later again, and now and then anyway.

use std::pin::pin;
use std::time::Duration;

use futures::stream::{Stream, poll_fn};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;

/// News may arrive while a fetch is under way that cannot see it yet: after these pauses the lane
/// looks again.
const ECHOES: [Duration; 2] = [Duration::from_millis(30), Duration::from_millis(70)];
/// Without any news: what an orphaned job or a broken listener waits at most.
const ANYWAY: Duration = Duration::from_secs(15);

/// A stream of moments to look, and the future that drives it and ends when the stream is dropped.
pub(super) fn ticks<S>(
    news: S,
) -> (
    impl Stream<Item = ()> + Unpin + Send + 'static,
    impl Future<Output = ()>,
)
where
    S: Stream<Item = ()> + Send,
{
    let (to, mut from) = mpsc::channel::<()>(1);
    let stream = poll_fn(move |cx| {
        let polled = from.poll_recv(cx);
        if polled.is_ready() {
            // apalis drops the item and may then wait for something else; polled once more, this
            // stream has its waker in place again.
            cx.waker().wake_by_ref();
        }
        polled
    });
    let drive = async move {
        let mut news = pin!(news);
        while !to.is_closed() {
            let heard = tokio::select! {
                heard = news.next() => heard.is_some(),
                () = tokio::time::sleep(ANYWAY) => false,
                () = to.closed() => return,
            };
            let _ = to.try_send(());
            if !heard {
                // Nothing new, or a source that has ended and must not spin.
                tokio::time::sleep(ECHOES[1]).await;
                continue;
            }
            for pause in ECHOES {
                tokio::time::sleep(pause).await;
                let _ = to.try_send(());
                if let Some(Some(())) = news.next().now_or_never() {
                    let _ = to.try_send(());
                }
            }
        }
    };
    (stream, drive)
}

/// A stream that is made again when it ends, after a pause.
pub(super) fn renewed<S, F>(make: F) -> impl Stream<Item = ()> + Send
where
    S: Stream<Item = ()> + Send + Unpin,
    F: Fn() -> S + Send,
{
    futures::stream::unfold((make, None::<S>), |(make, current)| async move {
        let mut current = current.unwrap_or_else(&make);
        loop {
            if current.next().await.is_some() {
                return Some(((), (make, Some(current))));
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            current = make();
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn news_is_followed_by_two_more_looks_and_then_silence() {
        let notify = Arc::new(Notify::new());
        let news = futures::stream::unfold(notify.clone(), |notify| async move {
            notify.notified().await;
            Some(((), notify))
        });
        let (mut stream, drive) = ticks(news);
        notify.notify_one();
        let looks = async {
            for _ in 0..3 {
                stream.next().await.unwrap();
            }
            let more = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
            assert!(more.is_err());
            drop(stream);
        };
        tokio::join!(looks, drive);
    }

    #[tokio::test]
    async fn an_item_wakes_its_reader_once_more_so_that_no_later_item_is_missed() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (mut stream, drive) = ticks(futures::stream::iter([()]));
        assert!(drive.now_or_never().is_none());
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let polled = stream.poll_next_unpin(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Ready(Some(())));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }
}
