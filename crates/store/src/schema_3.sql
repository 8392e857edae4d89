CREATE TABLE circle_records (
    network BLOB NOT NULL,
    key BLOB NOT NULL,
    slot BLOB NOT NULL,
    expires_ms INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (network, key, slot)
);
CREATE TABLE circle_contacts (
    network BLOB NOT NULL PRIMARY KEY,
    contacts BLOB NOT NULL
);
