//! What a link does between two honest nodes.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use potluck_base::{PathKind, limits};

use super::{ALL, Over, Pair, endpoint, id, join, pattern, secret, soon};
use crate::{Endpoint, EndpointConfig, LinkError};

#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_in_order_both_ways() {
    for over in ALL {
        let pair = Pair::new(over).await;
        assert_eq!((pair.near.peer(), pair.far.peer()), (id(2), id(1)));
        assert!(pair.near.dialled() && !pair.far.dialled());
        let sizes = [0, 1, 5, 1000, 70_000, limits::FRAME_BYTES, 3];
        let frames: Vec<Bytes> =
            sizes.iter().map(|size| pattern(*size as u32, *size).into()).collect();
        for (tx, rx) in [(&pair.near, &pair.far), (&pair.far, &pair.near)] {
            let send = async {
                for frame in &frames {
                    tx.send(frame.clone()).await.unwrap();
                }
            };
            let receive = async {
                for frame in &frames {
                    assert_eq!(rx.recv().await.unwrap().as_ref(), Some(frame), "{over:?}");
                }
            };
            soon(async { tokio::join!(send, receive) }).await;
        }
        let large = Bytes::from(vec![0; limits::FRAME_BYTES + 1]);
        assert!(matches!(pair.near.send(large).await, Err(LinkError::FrameTooLarge(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_carry_the_same_bytes_in_both_directions_at_once() {
    const BLOCK: usize = 256 * 1024;
    const BLOCKS: usize = 256;
    for over in ALL {
        let pair = Pair::new(over).await;
        let mut threads = Vec::new();
        for (mut tx, mut rx) in [pair.lane_there().await, pair.lane_back().await] {
            let seed = threads.len() as u32 + 9;
            threads.push(thread::spawn(move || {
                let data = pattern(seed, BLOCK);
                for number in 0..BLOCKS as u32 {
                    // Other cuts every time, also between parts.
                    let length = BLOCK - (number as usize * 37) % 5000;
                    let (a, b) = data[..length].split_at((number as usize * 1013) % length);
                    let header = [number.to_le_bytes(), (length as u32).to_le_bytes()].concat();
                    tx.send(&[&header, a, &[], b]).unwrap();
                }
            }));
            threads.push(thread::spawn(move || {
                let (data, mut buf) = (pattern(seed, BLOCK), vec![0; BLOCK]);
                let mut header = [0; 8];
                for number in 0..BLOCKS as u32 {
                    rx.recv_exact(&mut header).unwrap();
                    let length = BLOCK - (number as usize * 37) % 5000;
                    let expected = [number.to_le_bytes(), (length as u32).to_le_bytes()].concat();
                    assert_eq!(header.as_slice(), expected);
                    rx.recv_exact(&mut buf[..length]).unwrap();
                    assert!(buf[..length] == data[..length], "{over:?} block {number}");
                }
                let end = rx.recv_exact(&mut header).unwrap_err();
                assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
            }));
        }
        for thread in threads {
            join(thread).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_arrives_before_the_link_closes_and_the_reason_too() {
    for over in ALL {
        let pair = Pair::new(over).await;
        for number in 0..100_u8 {
            pair.near.send(Bytes::from(vec![number; 3000])).await.unwrap();
        }
        pair.near.close("that was \u{1b}[31mall");
        for number in 0..100_u8 {
            let frame = soon(pair.far.recv()).await.unwrap().unwrap();
            assert_eq!(frame[0], number, "{over:?}");
        }
        assert!(matches!(soon(pair.far.recv()).await, Ok(None)), "{over:?}");
        let why = pair.far.why_closed().unwrap();
        assert_eq!(why, "closed by the peer: that was \\u{1b}[31mall", "{over:?}");
        soon(pair.far.closed()).await;
        assert!(matches!(pair.far.send(Bytes::new()).await, Err(LinkError::Closed)));
        assert!(matches!(pair.near.recv().await, Ok(None)));
        assert!(matches!(pair.near.outgoing_lane().await, Err(LinkError::Closed)));
        assert!(pair.near.incoming_lane().await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_nobody_holds_closes() {
    for over in ALL {
        let Pair { near, far, us: _us, them: _them } = Pair::new(over).await;
        let second = near.clone();
        drop(near);
        second.send(Bytes::from_static(b"still here")).await.unwrap();
        assert_eq!(soon(far.recv()).await.unwrap().unwrap(), "still here");
        drop(second);
        assert!(matches!(soon(far.recv()).await, Ok(None)), "{over:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_a_link_wakes_whoever_is_blocked_on_its_lanes() {
    for over in ALL {
        let pair = Pair::new(over).await;
        let (tx_there, mut rx_there) = pair.lane_there().await;
        let (mut tx_back, rx_back) = pair.lane_back().await;
        let (sent, sending) = std::sync::mpsc::channel();
        let reader = thread::spawn(move || rx_there.recv_exact(&mut [0; 1]).unwrap_err());
        let writer = thread::spawn(move || {
            loop {
                // Nobody reads, so that it blocks sooner or later.
                if let Err(error) = tx_back.send(&[b"header", &[7; 256 * 1024]]) {
                    return error;
                }
                let _ = sent.send(());
            }
        });
        // Blocked as far as one can tell from outside: nothing was sent for a while.
        tokio::task::spawn_blocking(move || {
            while sending.recv_timeout(Duration::from_millis(300)).is_ok() {}
        })
        .await
        .unwrap();
        let start = Instant::now();
        pair.far.close("enough");
        assert_eq!(join(reader).await.kind(), io::ErrorKind::UnexpectedEof, "{over:?}");
        join(writer).await;
        assert!(start.elapsed() < Duration::from_secs(2), "{over:?}");
        drop((tx_there, rx_back));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_lanes_and_a_dropped_one_makes_room() {
    for over in ALL {
        let pair = Pair::new(over).await;
        let mut lanes = Vec::new();
        for _ in 0..limits::LANES_PER_LINK {
            lanes.push(pair.lane_there().await);
        }
        let near = pair.near.clone();
        let mut more = tokio::spawn(async move { near.outgoing_lane().await });
        // It waits for a slot.
        tokio::select! {
            biased;
            _ = &mut more => panic!("{over:?}: a lane too many"),
            () = tokio::task::yield_now() => {}
        }
        let (mut tx, mut rx) = lanes.pop().unwrap();
        join(thread::spawn(move || {
            tx.send(&[b"x"]).unwrap();
            rx.recv_exact(&mut [0]).unwrap();
            // The far end first: the near end's slot then surely finds room there.
            drop(rx);
            drop(tx);
        }))
        .await;
        let _more = soon(more).await.unwrap().unwrap();
        soon(pair.far.incoming_lane()).await.unwrap();
        pair.near.want_lanes(99);
        for _ in 0..limits::LANES_PER_LINK {
            lanes.push(soon(pair.lane_asked_for()).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_says_what_carries_the_link() {
    let kinds = [PathKind::DirectTcp, PathKind::DirectQuic, PathKind::Memory];
    for (over, kind) in ALL.into_iter().zip(kinds) {
        let pair = Pair::new(over).await;
        for (link, to) in [(&pair.near, &pair.them), (&pair.far, &pair.us)] {
            let path = link.path();
            assert_eq!((path.kind, path.rtt.is_some()), (kind, over != Over::Memory));
            if over == Over::Quic || (over == Over::Tcp && link.dialled()) {
                assert_eq!(path.remote, to.addr().direct[0].to_string());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_closes_takes_its_links_along() {
    for over in ALL {
        let pair = Pair::new(over).await;
        let start = Instant::now();
        pair.them.close().await;
        assert!(start.elapsed() < Duration::from_millis(1500), "{over:?}");
        assert!(matches!(soon(pair.near.recv()).await, Ok(None)), "{over:?}");
        assert!(pair.them.accept().await.is_none());
        // Over QUIC one only notices when time is up.
        assert!(over == Over::Quic || pair.us.dial(&pair.them.addr()).await.is_err());
        assert!(matches!(pair.them.dial(&pair.us.addr()).await, Err(LinkError::Closed)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_and_udp_share_one_port_and_the_address_leads_there() {
    let both = endpoint(2, true, true).await;
    let addr = both.addr();
    assert_eq!(addr.direct.len(), 1, "{addr:?}");
    assert!(addr.direct[0].ip().is_loopback());
    for (tcp, quic) in [(true, false), (false, true)] {
        let us = endpoint(1, tcp, quic).await;
        soon(us.dial(&addr)).await.unwrap();
        soon(both.accept()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_listens_everywhere_names_loopback_only_if_there_is_nothing_else() {
    for quic in [true, false] {
        let config = EndpointConfig { quic, ..EndpointConfig::new(secret(2)) };
        let them = Endpoint::bind(config).await.unwrap();
        let addr = them.addr();
        let port = addr.direct[0].port();
        assert!(port != 0 && addr.direct.iter().all(|place| place.port() == port));
        assert!(addr.direct.len() <= limits::PEER_ADDRS);
        let loopback = addr.direct.iter().filter(|place| place.ip().is_loopback()).count();
        assert!(loopback == 0 || loopback == addr.direct.len());
        assert!(addr.direct.iter().all(|place| !place.ip().is_unspecified()));
        // Both families lead there.
        let us = endpoint(1, true, false).await;
        let v4 = super::at(2, &[([127, 0, 0, 1], port).into()]);
        soon(us.dial(&v4)).await.unwrap();
        them.close().await;
    }
}
