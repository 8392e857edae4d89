//! The first connection of each dialect that was seen, in our own words.

use super::Method;

/// A segment of bytes, followed by silence.
pub(super) type Segments = &'static [&'static [u8]];

/// What a dialect's first connection looks like.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) sent: Segments,
    /// Method, number, host, port and title of each request.
    pub(super) read: &'static [(Method, Option<u32>, &'static str, u16, &'static str)],
    /// The answer to the first request, with one row.
    pub(super) answer: &'static str,
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "by the book",
        sent: &[
            b"ADD RFC 123 P2P-CI/1.0\r\nHost: a.example\r\nPort: 5678\r\nTitle: A Test\r\n\r\n",
            b"LIST ALL P2P-CI/1.0\r\nHost: a.example\r\nPort: 5678\r\n\r\n",
        ],
        read: &[
            (Method::Add, Some(123), "a.example", 5678, "A Test"),
            (Method::List, None, "a.example", 5678, ""),
        ],
        answer: "P2P-CI/1.0 200 OK\r\n\r\nRFC 123 A Test 10.0.0.1 5678\r\n\r\n",
    },
    Case {
        name: "bare line feeds, several requests in one segment",
        sent: &[b"ADD RFC 1 P2P-CI/1.0\nHost: h\nPort: 5\nTitle: x\n\n\
                  LOOKUP RFC 1 P2P-CI/1.0\nHost: h\nPort: 5\nTitle: x\n\n"],
        read: &[(Method::Add, Some(1), "h", 5, "x"), (Method::Lookup, Some(1), "h", 5, "x")],
        answer: "P2P-CI/1.0 200 OK\nRFC 123 A Test 10.0.0.1 5678\n\n",
    },
    Case {
        name: "no blank behind the colon, no port in a LOOKUP",
        sent: &[
            b"ADD RFC 7 P2P-CI/1.0\r\nHost:h\r\nPort:99\r\nTitle:Seven\r\n\r\n",
            b"LOOKUP RFC 7 P2P-CI/1.0\r\nHost:h\r\n\r\n",
        ],
        read: &[(Method::Add, Some(7), "h", 99, "Seven"), (Method::Lookup, Some(7), "h", 0, "")],
        answer: "P2P-CI/1.0 200 OK\r\nRFC 123 A Test 10.0.0.1 5678\r\n\r\n",
    },
    Case {
        name: "no empty line, each line with its end",
        sent: &[
            b"ADD RFC 9 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: nine\r\n",
            b"LOOKUP RFC 9 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: Unknown\r\n",
        ],
        read: &[
            (Method::Add, Some(9), "h", 1, "nine"),
            (Method::Lookup, Some(9), "h", 1, "Unknown"),
        ],
        answer: "P2P-CI/1.0 200 OK\r\nRFC 123 A Test 10.0.0.1 5678\r\n",
    },
    Case {
        name: "no end of the last line, a version of its own",
        sent: &[
            b"ADD RFC 4 P2P-CI-v1.0.0\nHost: h\nPort: 8080\nTitle: four",
            b"LIST ALL P2P-CI-v1.0.0\nHost: h\nPort: 8080",
        ],
        read: &[(Method::Add, Some(4), "h", 8080, "four"), (Method::List, None, "h", 8080, "")],
        answer: "P2P-CI-v1.0.0 200 OK\nRFC 123 A Test 10.0.0.1 5678\n",
    },
    Case {
        name: "END behind an empty line",
        sent: &[
            b"ADD RFC 4 P2P-CI/1.0\nHost: 10.0.0.2\nPort: 1\nTitle: t\n\nEND\n",
            b"LIST ALL P2P-CI/1.0\nHost: 10.0.0.2\nPort: 1\n\nEND\n",
        ],
        read: &[
            (Method::Add, Some(4), "10.0.0.2", 1, "t"),
            (Method::List, None, "10.0.0.2", 1, ""),
        ],
        answer: "P2P-CI/1.0 200 OK\n\nRFC 123 A Test 10.0.0.1 5678\n\nEND\n",
    },
    Case {
        name: "END behind the headers",
        sent: &[b"ADD RFC 4 P2P-CI/1.0\nHost: h\nPort: 1\nTitle: t\nEND\n"],
        read: &[(Method::Add, Some(4), "h", 1, "t")],
        answer: "P2P-CI/1.0 200 OK\nRFC 123 A Test 10.0.0.1 5678\nEND\n",
    },
    Case {
        name: "host and port on lines of their own first, EOR in answers",
        sent: &[
            b"my-host\n5678\n",
            b"ADD RFC 4 P2P-CI/1.0\nHost: my-host\nPort: 5678\nTitle: t\n",
            b"LIST ALL P2P-CI/1.0\nHost: my-host\nPort: 5678\n",
        ],
        read: &[
            (Method::Add, Some(4), "my-host", 5678, "t"),
            (Method::List, None, "my-host", 5678, ""),
        ],
        answer: "P2P-CI/1.0 200 OK\nRFC 123 A Test 10.0.0.1 5678\nEOR\n",
    },
    Case {
        name: "LIST without ALL",
        sent: &[b"LIST P2P-CI/1.0\nHost: h\nPort: 1\n\n"],
        read: &[(Method::List, None, "h", 1, "")],
        answer: "P2P-CI/1.0 200 OK\nRFC 123 A Test 10.0.0.1 5678\n\n",
    },
    Case {
        name: "a length of ten characters, capitals, LISTALL, DEL",
        sent: &[
            b"49        ADD RFC 1 P2P-CI/1.0\nHOST: h\nPORT: 5\nTITLE: first",
            b"34        LISTALL P2P-CI/1.0\nHOST: h\nPORT: 5\
              30        DEL P2P-CI/1.0\nHOST: h\nPORT: 5",
        ],
        read: &[
            (Method::Add, Some(1), "h", 5, "first"),
            (Method::List, None, "h", 5, ""),
            (Method::Leave, None, "h", 5, ""),
        ],
        answer: "47        P2P-CI/1.0 200 OK\nRFC 123 A Test 10.0.0.1 5678\n",
    },
    Case {
        name: "Java's writeUTF",
        sent: &[b"\0\x31ADD RFC 1 P2P-CI/1.0\nHost: h\nPort: 5\nTitle: first"],
        read: &[(Method::Add, Some(1), "h", 5, "first")],
        answer: "\0\x3dP2P-CI/1.0 200 OK\nRFC 123 A Test 10.0.0.1/10.0.0.1:5678 5678\n",
    },
    Case {
        name: "Post for Port, words without RFC, leading blanks, one connection each",
        sent: &[b"ADD 77 P2P-CI/1.0\n Host: h\n Post: 5\n Title: t"],
        read: &[(Method::Add, Some(77), "h", 5, "t")],
        answer: "P2P-CI/1.0 200 OK\nRFC 123 A Test 10.0.0.1 5678\n",
    },
    Case {
        name: "headers behind the version, on the same line",
        sent: &[b"EXIT P2P-CI/1.0 Host: h Port: 5"],
        read: &[(Method::Leave, None, "h", 5, "")],
        answer: "P2P-CI/1.0 200 OK\r\nRFC 123 A Test 10.0.0.1 5678\r\n",
    },
    Case {
        name: "line ends the wrong way round",
        sent: &[b"ADD RFC 5 P2P-CI/1.0\n\rHost: h\n\rPort: 5\n\rTitle: A test rfc\n\r\n\r"],
        read: &[(Method::Add, Some(5), "h", 5, "A test rfc")],
        answer: "P2P-CI/1.0 200 OK\nRFC 123 A Test 10.0.0.1 5678\n\n",
    },
    Case {
        name: "the end of a C string, and a version of two words",
        sent: &[b"ADD RFC 5 P2P/CI 1.0\nHost: h\nPort: 5\nTitle: t\n\0"],
        read: &[(Method::Add, Some(5), "h", 5, "t")],
        answer: "P2P/CI 1.0 200 OK\nRFC 123 A Test 10.0.0.1 5678\n",
    },
    Case {
        name: "RFC and its number in one word",
        sent: &[b"LOOKUP RFC42 P2P-CI/1.0\r\nHost: h\r\nPort: 5\r\nTitle: t\r\n"],
        read: &[(Method::Lookup, Some(42), "h", 5, "t")],
        answer: "P2P-CI/1.0 200 OK\r\nRFC 123 A Test 10.0.0.1 5678\r\n",
    },
];
