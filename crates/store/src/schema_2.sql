CREATE TABLE shares_2 (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,
    size INTEGER NOT NULL,
    executable INTEGER NOT NULL,
    count INTEGER NOT NULL,
    roots BLOB NOT NULL,
    ids BLOB NOT NULL,
    files BLOB NOT NULL,
    manifest BLOB
);
INSERT INTO shares_2 (id, kind, name, created, size, executable, count, roots, ids, files, manifest)
    SELECT id, kind, name, created, size, executable, 0, roots, ids, files, manifest
    FROM shares ORDER BY created;
DROP TABLE shares;
ALTER TABLE shares_2 RENAME TO shares;
CREATE TABLE downloads_2 (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    content BLOB NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    asked TEXT NOT NULL,
    folder BLOB NOT NULL,
    created INTEGER NOT NULL,
    size INTEGER NOT NULL,
    executable INTEGER NOT NULL,
    state INTEGER NOT NULL,
    synced INTEGER NOT NULL,
    boot TEXT NOT NULL,
    dev INTEGER NOT NULL,
    count INTEGER NOT NULL,
    selected BLOB,
    durable BLOB NOT NULL,
    doubtful BLOB NOT NULL,
    ids BLOB NOT NULL,
    files BLOB NOT NULL,
    manifest BLOB,
    UNIQUE (folder, name, content)
);
INSERT INTO downloads_2
    SELECT number, content, kind, name, asked, folder, created, size, executable, state, synced,
        boot, dev, 0, selected, durable, doubtful, ids, files, manifest
    FROM downloads ORDER BY number;
DROP TABLE downloads;
ALTER TABLE downloads_2 RENAME TO downloads;
CREATE INDEX downloads_by_content ON downloads (content, state);
CREATE INDEX downloads_by_state ON downloads (state, synced);
CREATE TABLE file_owners (
    start BLOB NOT NULL,
    origin INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    PRIMARY KEY (start, origin, owner)
) WITHOUT ROWID;
CREATE TABLE offers (
    key BLOB NOT NULL PRIMARY KEY,
    content BLOB NOT NULL,
    name TEXT NOT NULL,
    tags BLOB NOT NULL,
    paths BLOB NOT NULL,
    listed BLOB NOT NULL,
    audience BLOB NOT NULL,
    watch INTEGER NOT NULL,
    downloaded INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    pages INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX offers_by_content ON offers (content);
CREATE TABLE networks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    network BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
);
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
);
