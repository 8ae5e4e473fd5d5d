-- Prices, quantities and sums are exact decimals as TEXT; times are INTEGER ns since 1970, UTC.

CREATE TABLE trades (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    trade_id TEXT NOT NULL,
    venue_time INTEGER NOT NULL,
    receive_time INTEGER NOT NULL,
    price TEXT NOT NULL,
    quantity TEXT NOT NULL,
    side TEXT NOT NULL,
    validated INTEGER NOT NULL,
    suspect INTEGER NOT NULL,
    source TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (venue, symbol, trade_id)
) STRICT, WITHOUT ROWID;

-- A composite has venue '' and its ticker as symbol.
CREATE TABLE vwap (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    "window" INTEGER NOT NULL,
    mark INTEGER NOT NULL,
    price TEXT NOT NULL,
    sum_pq TEXT NOT NULL,
    sum_q TEXT NOT NULL,
    trades INTEGER NOT NULL,
    validated INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (venue, symbol, "window", mark)
) STRICT, WITHOUT ROWID;

-- Each correction once: by its place in its log. Of a single mark old_* and new_* are set, of a range delta_*.
CREATE TABLE corrections (
    log TEXT NOT NULL,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    "window" INTEGER NOT NULL,
    mark_from INTEGER NOT NULL,
    mark_to INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    old_price TEXT NOT NULL,
    old_sum_pq TEXT NOT NULL,
    old_sum_q TEXT NOT NULL,
    old_trades INTEGER NOT NULL,
    new_price TEXT NOT NULL,
    new_sum_pq TEXT NOT NULL,
    new_sum_q TEXT NOT NULL,
    new_trades INTEGER NOT NULL,
    delta_pq TEXT NOT NULL,
    delta_q TEXT NOT NULL,
    delta_trades INTEGER NOT NULL,
    cause TEXT NOT NULL,
    trade_ids TEXT NOT NULL, -- JSON array
    trade_count INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    PRIMARY KEY (log, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE watermarks (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    validated_until INTEGER NOT NULL,
    covered_from INTEGER NOT NULL,
    market_time INTEGER NOT NULL,
    PRIMARY KEY (venue, symbol)
) STRICT, WITHOUT ROWID;

CREATE TABLE instruments (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    PRIMARY KEY (venue, symbol)
) STRICT, WITHOUT ROWID;

-- Written in the same transaction as the rows: records of `log` up to `seq` have their effect here, exactly once.
CREATE TABLE cursors (
    log TEXT PRIMARY KEY NOT NULL,
    epoch TEXT NOT NULL, -- 16 hexadecimal digits
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Made from the configuration each time the store is opened: what the views below show.
CREATE TABLE compat_tickers (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    ticker TEXT NOT NULL,
    PRIMARY KEY (venue, symbol, ticker)
) STRICT, WITHOUT ROWID;
CREATE INDEX compat_by_ticker ON compat_tickers (ticker);

CREATE TABLE compat_window (
    ns INTEGER NOT NULL
) STRICT;

-- The original's tables with its columns: ts and validated_until in ms, interval in ms as text.
CREATE VIEW transactions AS
    SELECT t.trade_id AS tradeid, c.ticker AS ticker, t.venue_time / 1000000 AS ts, t.quantity AS quantity, t.price AS price,
           t.validated AS is_validated
    FROM compat_tickers c JOIN trades t ON t.venue = c.venue AND t.symbol = c.symbol;

CREATE VIEW vwap_history AS
    SELECT c.ticker AS ticker, v.mark / 1000000 AS ts, v.price AS price, CAST(v."window" / 1000000 AS TEXT) AS interval,
           v.validated AS is_validated
    FROM compat_tickers c JOIN vwap v ON v.venue = c.venue AND v.symbol = c.symbol
    WHERE v."window" = (SELECT ns FROM compat_window);

CREATE VIEW latest_vwap_history AS
    SELECT c.ticker AS ticker, v.mark / 1000000 AS ts, v.price AS price, CAST(v."window" / 1000000 AS TEXT) AS interval
    FROM compat_tickers c JOIN vwap v ON v.venue = c.venue AND v.symbol = c.symbol
    WHERE v."window" = (SELECT ns FROM compat_window)
      AND v.mark = (SELECT max(l.mark) FROM vwap l
                    WHERE l.venue = c.venue AND l.symbol = c.symbol AND l."window" = v."window");

CREATE VIEW tickers_validation_timestamp AS
    SELECT c.ticker AS ticker, w.validated_until / 1000000 AS validated_until
    FROM compat_tickers c JOIN watermarks w ON w.venue = c.venue AND w.symbol = c.symbol;

CREATE VIEW available_tickers AS SELECT DISTINCT ticker FROM latest_vwap_history;
