-- Trades by their time, for history and export.

CREATE INDEX trades_by_time ON trades (venue, symbol, venue_time);
