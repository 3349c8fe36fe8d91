//! Other crates' traits on streams: the same bytes, the same ends.

#[cfg(feature = "futures-io")]
mod futures {
    use futures_util::{AsyncReadExt, AsyncWriteExt};

    use crate::bed::{PORT, Pair};

    #[test]
    fn the_traits_of_futures_io_move_bytes_and_end_halves() {
        let mut pair = Pair::new();
        pair.config.limits.tx_bytes = 3000;
        pair.far(|handle| async move {
            let stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
            let (reader, mut writer) = stream.split();
            let copied = futures_util::io::copy(reader, &mut writer).await.unwrap();
            assert_eq!(copied, 100_000);
            AsyncWriteExt::close(&mut writer).await.unwrap();
        });
        pair.near(|handle, target| async move {
            let stream = handle.connect(target).await.unwrap();
            let sent: Vec<u8> = (0..100_000).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let (mut reader, mut writer) = stream.split();
            let data = sent.clone();
            drop(handle.spawn(async move {
                let (first, second) = data.split_at(50_000);
                let pieces = [&[][..], &first[..4], &first[4..20]].map(std::io::IoSlice::new);
                let written = AsyncWriteExt::write_vectored(&mut writer, &pieces).await.unwrap();
                assert_eq!(written, 20);
                AsyncWriteExt::write_all(&mut writer, &first[20..]).await.unwrap();
                AsyncWriteExt::flush(&mut writer).await.unwrap();
                AsyncWriteExt::write_all(&mut writer, second).await.unwrap();
                AsyncWriteExt::close(&mut writer).await.unwrap();
            }));
            let mut got = Vec::new();
            AsyncReadExt::read_to_end(&mut reader, &mut got).await.unwrap();
            assert!(got == sent, "{} bytes", got.len());
        });
        pair.run_out();
    }
}

#[cfg(feature = "tokio-io")]
mod tokio_io {
    use std::future::poll_fn;
    use std::pin::Pin;

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tymist::tasks::TaskStream;

    use crate::bed::{PORT, Pair};

    async fn read(stream: &mut TaskStream, size: usize) -> std::io::Result<Vec<u8>> {
        let mut storage = vec![0; size];
        let mut buf = ReadBuf::new(&mut storage);
        poll_fn(|context| AsyncRead::poll_read(Pin::new(stream), context, &mut buf)).await?;
        Ok(buf.filled().to_vec())
    }

    async fn write(stream: &mut TaskStream, data: &[u8]) -> std::io::Result<usize> {
        poll_fn(|context| AsyncWrite::poll_write(Pin::new(stream), context, data)).await
    }

    #[test]
    fn the_traits_of_tokio_move_bytes_and_end_halves() {
        let mut pair = Pair::new();
        pair.far(|handle| async move {
            let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
            loop {
                let part = read(&mut stream, 7).await.unwrap();
                if part.is_empty() {
                    break;
                }
                assert_eq!(write(&mut stream, &part).await.unwrap(), part.len());
            }
            poll_fn(|context| AsyncWrite::poll_shutdown(Pin::new(&mut stream), context))
                .await
                .unwrap();
            let shut = write(&mut stream, b"more").await.unwrap_err();
            assert_eq!(shut.kind(), std::io::ErrorKind::BrokenPipe);
        });
        pair.near(|handle, target| async move {
            let mut stream = handle.connect(target).await.unwrap();
            assert!(AsyncWrite::is_write_vectored(&stream));
            assert!(read(&mut stream, 0).await.unwrap().is_empty(), "nothing asked, nothing read");
            assert_eq!(write(&mut stream, b"there and back").await.unwrap(), 14);
            poll_fn(|context| AsyncWrite::poll_flush(Pin::new(&mut stream), context))
                .await
                .unwrap();
            poll_fn(|context| AsyncWrite::poll_shutdown(Pin::new(&mut stream), context))
                .await
                .unwrap();
            let mut got = Vec::new();
            loop {
                let part = read(&mut stream, 100).await.unwrap();
                if part.is_empty() {
                    break;
                }
                got.extend(part);
            }
            assert_eq!(got, b"there and back");
        });
        pair.run_out();
    }
}

#[cfg(feature = "hyper")]
mod hyper {
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use hyper::rt::Timer;
    use tymist::tyme::{Tyme, Tymist};

    use crate::bed::{Rig, millis};

    #[test]
    fn regression_a_timer_goes_on_by_another_clock_as_if_there_were_one() {
        for start in [0, 1000].map(Tyme::from_secs) {
            let mut rig = Rig::starting_at(Tyme::from_secs(100));
            let timer = rig.tasks.handle().hyper_timer();
            let begun = timer.now();
            let mut sleep = pin!(timer.sleep_until(begun + millis(1000)));
            rig.at(Tyme::from_secs(100) + millis(600));
            rig.tymist = Tymist::starting_at(start);
            rig.tasks.wind(rig.tymist.tymth());
            assert_eq!(timer.now() - begun, millis(600));
            let mut reset = timer.sleep(Duration::ZERO);
            timer.reset(&mut reset, begun + millis(1000));
            let mut context = Context::from_waker(Waker::noop());
            for (after, is_over) in [(399, false), (400, true)] {
                rig.at(start + millis(after));
                assert_eq!(timer.now() - begun, millis(600 + after));
                assert_eq!(sleep.as_mut().poll(&mut context).is_ready(), is_over);
                assert_eq!(reset.as_mut().poll(&mut context).is_ready(), is_over);
            }
        }
    }
}
