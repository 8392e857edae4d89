//! Figures of the papers, to stand beside ours.
//!
//! Stoica et al., "Chord: a scalable peer-to-peer lookup protocol for Internet applications",
//! IEEE/ACM Transactions on Networking 2003, and SIGCOMM 2001. What is only drawn there was read
//! from the drawings.

/// Figure 10a: peers, mean path, 1st and 99th percentile.
pub const PATH: [(u32, f64, u64, u64); 12] = [
    (8, 1.72, 1, 3),
    (16, 2.09, 1, 4),
    (32, 2.49, 1, 5),
    (64, 2.96, 1, 5),
    (128, 3.39, 1, 6),
    (256, 3.88, 1, 7),
    (512, 4.38, 1, 7),
    (1024, 4.89, 2, 8),
    (2048, 5.36, 2, 9),
    (4096, 5.85, 2, 10),
    (8192, 6.35, 2, 10),
    (16384, 6.87, 3, 11),
];

/// Figure 10b: the share of paths of each length from 1 on, of 2^12 peers.
pub const SHARES: [f64; 12] =
    [0.0033, 0.018, 0.057, 0.129, 0.212, 0.225, 0.194, 0.109, 0.041, 0.009, 0.0012, 0.0002];

/// Table II: share that failed, mean path, mean timeouts. 1000 peers, lists of 20.
pub const FAILURES: [(f64, f64, f64); 6] = [
    (0.0, 3.84, 0.0),
    (0.1, 4.03, 0.60),
    (0.2, 4.22, 1.17),
    (0.3, 4.44, 2.02),
    (0.4, 4.69, 3.23),
    (0.5, 5.09, 5.10),
];

/// Table III: joins and leaves per second, mean path, mean timeouts, failed of 10,000 lookups.
pub const CHURN: [(f64, f64, f64, u32); 8] = [
    (0.05, 3.90, 0.05, 0),
    (0.10, 3.83, 0.11, 0),
    (0.15, 3.84, 0.16, 2),
    (0.20, 3.81, 0.23, 5),
    (0.25, 3.83, 0.30, 6),
    (0.30, 3.91, 0.34, 8),
    (0.35, 3.94, 0.42, 16),
    (0.40, 4.06, 0.46, 15),
];

/// Figure 9: virtual positions of each peer, 1st and 99th percentile of keys. 10^4 peers, 10^6
/// keys.
pub const LOAD: [(u32, u64, u64); 5] =
    [(1, 0, 477), (2, 7, 347), (5, 24, 220), (10, 38, 186), (20, 50, 161)];

/// Table IV: successors kept for each finger, median stretch of iterative lookups in a cube, and of
/// recursive ones. 2^16 peers.
pub const STRETCH: [(usize, f64, f64); 5] =
    [(1, 7.8, 4.5), (2, 7.2, 3.5), (4, 6.1, 2.7), (8, 4.7, 2.1), (16, 3.4, 1.7)];
