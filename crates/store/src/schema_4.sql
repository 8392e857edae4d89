ALTER TABLE downloads ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
CREATE TABLE deposits (
    network BLOB NOT NULL,
    content BLOB NOT NULL,
    name TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    copies INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    offer BLOB,
    heard BLOB NOT NULL,
    PRIMARY KEY (network, content)
);
CREATE TABLE held (
    content BLOB NOT NULL,
    network BLOB NOT NULL,
    peer BLOB NOT NULL,
    name TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (content, network, peer)
);
