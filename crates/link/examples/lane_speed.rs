//! How fast lanes move bytes over loopback, beside a plain TCP copy in the same run.
//!
//! `lane_speed [GIB] [LANES]...` measures within one process. `lane_speed serve` waits for
//! `lane_speed push ADDRESS ID [GIB] [LANES]...` in another one, whose figures then count.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::unwrap_used, reason = "a measurement may fail loudly")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use potluck_base::PeerAddr;
use potluck_identity::SecretKey;
use potluck_link::{Endpoint, EndpointConfig, LaneRx, LaneTx, Link};

/// What is sent at once: the block of a real transfer.
const BLOCK: usize = 256 * 1024;
const HEADER: usize = 32;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => serve().await,
        ["push", address, id, rest @ ..] => {
            let (address, id) = (address.parse().unwrap(), id.parse().unwrap());
            let to = PeerAddr { id, direct: vec![address], relay: None };
            measure(&endpoint(2).await, &to, rest).await;
        }
        rest => {
            let server = endpoint(1).await;
            let to = server.addr();
            tokio::spawn(receive_all(server));
            measure(&endpoint(2).await, &to, rest).await;
        }
    }
}

async fn endpoint(seed: u8) -> Endpoint {
    let mut config = EndpointConfig::new(SecretKey::from_seed([seed; 32]));
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.quic = std::env::var_os("QUIC").is_some();
    config.tcp = !config.quic;
    Endpoint::bind(config).await.unwrap()
}

async fn serve() {
    let server = endpoint(1).await;
    let addr = server.addr();
    println!("lane_speed push {} {}", addr.direct[0], addr.id);
    receive_all(server).await;
}

async fn receive_all(server: Endpoint) {
    while let Some(link) = server.accept().await {
        tokio::spawn(async move {
            while let Some(lane) = link.incoming_lane().await {
                let link = link.clone();
                std::thread::spawn(move || receive(lane, &link));
            }
        });
    }
}

/// Takes blocks until a header says that it was the last, and tells the sender.
fn receive(mut lane: LaneRx, link: &Link) {
    let (mut header, mut block) = ([0; HEADER], vec![0; BLOCK]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    while lane.recv_exact(&mut header).is_ok() && lane.recv_exact(&mut block).is_ok() {
        if header[0] == 1 {
            runtime.block_on(link.send(Bytes::from_static(b"done"))).unwrap();
        }
    }
}

async fn measure(us: &Endpoint, to: &PeerAddr, words: &[&str]) {
    let mut numbers = words.iter().map(|word| word.parse::<usize>().unwrap());
    let bytes = numbers.next().unwrap_or(4) << 30;
    let mut lane_counts: Vec<usize> = numbers.collect();
    if lane_counts.is_empty() {
        lane_counts = vec![1, 2];
    }
    let floor = plain_tcp(bytes);
    show("plain TCP, 256 KiB", bytes, floor, floor);
    let link = us.dial(to).await.unwrap();
    println!("{:?}", link.path());
    for count in lane_counts {
        let mut lanes = Vec::new();
        for _ in 0..count {
            lanes.push(link.outgoing_lane().await.unwrap());
        }
        let start = (Instant::now(), cpu());
        let threads: Vec<_> = lanes
            .into_iter()
            .map(|lane| std::thread::spawn(move || push(lane, bytes / count)))
            .collect();
        for _ in 0..count {
            link.recv().await.unwrap().unwrap();
        }
        show(&format!("{count} lanes"), bytes, (start.0.elapsed(), cpu() - start.1), floor);
        for thread in threads {
            thread.join().unwrap();
        }
    }
    link.close("measured");
    us.close().await;
}

fn push(mut lane: LaneTx, bytes: usize) {
    let block = vec![7; BLOCK];
    for index in (0..bytes / BLOCK).rev() {
        let mut header = [0; HEADER];
        header[0] = u8::from(index == 0);
        lane.send(&[&header, &block]).unwrap();
    }
}

/// The floor: what the kernel moves between two threads when nothing is encrypted or checked.
fn plain_tcp(bytes: usize) -> (Duration, f64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let start = (Instant::now(), cpu());
    let sender = std::thread::spawn(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        let block = vec![7; BLOCK];
        for _ in 0..bytes / BLOCK {
            socket.write_all(&block).unwrap();
        }
    });
    let (mut socket, _) = listener.accept().unwrap();
    let mut block = vec![0; BLOCK];
    let mut received = 0;
    while received < bytes {
        match socket.read(&mut block).unwrap() {
            0 => break,
            count => received += count,
        }
    }
    sender.join().unwrap();
    (start.0.elapsed(), cpu() - start.1)
}

fn show(what: &str, bytes: usize, (time, cpu): (Duration, f64), floor: (Duration, f64)) {
    let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    println!(
        "{what:24} {:6.0} MB/s  {:.2} of plain  {:.2} CPU s/GiB",
        rate(time),
        rate(time) / rate(floor.0),
        cpu / (bytes as f64 / (1 << 30) as f64),
    );
}

/// Seconds of CPU that this process used; 0 where that is not told.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
