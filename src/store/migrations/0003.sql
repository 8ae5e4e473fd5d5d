-- How good the trades of each minute were.

-- Messages that named no symbol have symbol ''.
CREATE TABLE quality (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    minute INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    received INTEGER NOT NULL,
    invalid INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    reordered INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    repaired INTEGER NOT NULL,
    suspect INTEGER NOT NULL,
    silence INTEGER NOT NULL, -- ns
    latency_p50 INTEGER NOT NULL,
    latency_p99 INTEGER NOT NULL,
    latency_max INTEGER NOT NULL,
    timed INTEGER NOT NULL, -- trades that the latencies are of
    PRIMARY KEY (venue, symbol, minute)
) STRICT, WITHOUT ROWID;
