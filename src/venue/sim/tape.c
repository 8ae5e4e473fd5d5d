#include "venue/sim/tape.h"

#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

#include "base/decimal.h"
#include "base/json.h"
#include "base/text.h"

enum {
    LINE_SIZE = 4 << 20,
    NODE_MAX = 256,
    COLUMN_MAX = 16,
    HEAD_SIZE = 128
}; /* a stream is named in the first HEAD_SIZE bytes */

/* What assets are paid in: how a venue's BTCUSDT is cut in two. Longer ones first. */
static const char *const quotes[] = { "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "BTC", "ETH", "BNB", "EUR", "GBP",
    "TRY", "JPY", "BRL" };

typedef struct tape_reader {
    kt_sim_tape tape;
    uint32_t capacity;
    uint32_t message_capacity;
    uint64_t text_size, text_capacity;
    uint64_t last_number[KT_SIM_TAPE_SYMBOL_MAX];
    int64_t last_time_ms[KT_SIM_TAPE_SYMBOL_MAX];
    const char *path;
    uint64_t line;
} tape_reader;

/* One trade as the file has it. */
typedef struct tape_entry {
    kt_text symbol; /* BTCUSDT in either case, or BTC/USDT */
    uint64_t number;
    kt_decimal price;
    kt_decimal quantity;
    int64_t time_ms;
    int64_t at_ns;
    bool seller_took;
} tape_entry;

static bool ends_nocase(kt_text text, const char *end)
{
    size_t n = strlen(end);

    return text.n > n && strncasecmp(text.s + text.n - n, end, n) == 0;
}

/* "btcusdt" or "BTC/USDT" as BTC/USDT; false: no known quote at its end, or too long. */
static bool spell_pair(kt_text symbol, char out[static 32])
{
    size_t quote = 0;

    if (symbol.n == 0 || symbol.n > 30)
        return false;
    for (size_t i = 0; i < KT_COUNT(quotes) && quote == 0 && memchr(symbol.s, '/', symbol.n) == NULL; i++)
        if (ends_nocase(symbol, quotes[i]))
            quote = strlen(quotes[i]);
    if (quote == 0 && memchr(symbol.s, '/', symbol.n) == NULL)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < symbol.n; i++) {
        if (quote != 0 && i == symbol.n - quote)
            out[n++] = '/';
        out[n++] = symbol.s[i] >= 'a' && symbol.s[i] <= 'z' ? (char)(symbol.s[i] - 'a' + 'A') : symbol.s[i];
    }
    out[n] = '\0';
    return true;
}

static kt_code find_symbol(tape_reader *reader, kt_text symbol, uint32_t *out_index, kt_err *err)
{
    kt_sim_tape *tape = &reader->tape;
    char pair[32];

    if (!spell_pair(symbol, pair))
        return kt_fail(err, KT_SYNTAX, "%s:%llu: which pair '%.*s' is can not be told: give --symbols BASE/QUOTE",
            reader->path, (unsigned long long)reader->line, KT_TEXT_ARG(symbol));
    for (uint32_t i = 0; i < tape->symbol_count; i++)
        if (strcmp(tape->symbols[i], pair) == 0) {
            *out_index = i;
            return KT_OK;
        }
    if (tape->symbol_count == KT_SIM_TAPE_SYMBOL_MAX)
        return kt_fail(err, KT_LIMIT, "%s:%llu: more than %d symbols", reader->path, (unsigned long long)reader->line,
            KT_SIM_TAPE_SYMBOL_MAX);
    strcpy(tape->symbols[tape->symbol_count], pair);
    *out_index = tape->symbol_count++;
    return KT_OK;
}

static kt_code add(tape_reader *reader, const tape_entry *entry, kt_err *err)
{
    kt_sim_tape *tape = &reader->tape;
    kt_sim_trade trade = {
        .at_ns = entry->at_ns, .time_ms = entry->time_ms, .number = entry->number, .seller_took = entry->seller_took
    };
    unsigned long long line = reader->line;
    kt_code code = find_symbol(reader, entry->symbol, &trade.symbol, err);

    if (code != KT_OK)
        return code;
    if (kt_decimal_rescale(entry->price, KT_SIM_SCALE, &trade.price) != KT_OK ||
        kt_decimal_rescale(entry->quantity, KT_SIM_SCALE, &trade.quantity) != KT_OK || trade.price <= 0 ||
        trade.quantity <= 0)
        return kt_fail(err, KT_SYNTAX,
            "%s:%llu: price and quantity must be positive with at most %d digits behind the point", reader->path, line,
            KT_SIM_SCALE);
    if (trade.number <= reader->last_number[trade.symbol] && reader->last_number[trade.symbol] != 0)
        return kt_fail(err, KT_SEQ, "%s:%llu: trade %llu comes after %llu: ids must grow", reader->path, line,
            (unsigned long long)trade.number, (unsigned long long)reader->last_number[trade.symbol]);
    if (trade.time_ms < reader->last_time_ms[trade.symbol] || trade.time_ms <= 0)
        return kt_fail(
            err, KT_SEQ, "%s:%llu: the venue's time falls back to %lld", reader->path, line, (long long)trade.time_ms);
    if (tape->count != 0 && trade.at_ns < tape->trades[tape->count - 1].at_ns)
        return kt_fail(
            err, KT_SEQ, "%s:%llu: the receive time falls back to %lld", reader->path, line, (long long)trade.at_ns);
    if (tape->count == KT_SIM_TAPE_MAX)
        return kt_fail(err, KT_LIMIT, "%s: more than %d trades", reader->path, KT_SIM_TAPE_MAX);
    if (tape->count == reader->capacity) {
        uint32_t capacity = reader->capacity != 0 ? 2 * reader->capacity : 4096;
        kt_sim_trade *trades = realloc(tape->trades, capacity * sizeof *trades);

        if (trades == NULL)
            return kt_fail(err, KT_SYS, "%s: no memory for %u trades", reader->path, capacity);
        tape->trades = trades;
        reader->capacity = capacity;
    }
    if (entry->price.scale > tape->price_scale[trade.symbol])
        tape->price_scale[trade.symbol] = entry->price.scale;
    if (entry->quantity.scale > tape->quantity_scale[trade.symbol])
        tape->quantity_scale[trade.symbol] = entry->quantity.scale;
    reader->last_number[trade.symbol] = trade.number;
    reader->last_time_ms[trade.symbol] = trade.time_ms;
    tape->trades[tape->count++] = trade;
    return KT_OK;
}

/* ---- raw messages ---- */

typedef struct tape_message {
    kt_text stream;
    uint32_t data;
} tape_message;

static const kt_json_field message_fields[] = {
    KT_JSON_FIELD(tape_message, stream, "stream", TEXT, 0),
    KT_JSON_FIELD(tape_message, data, "data", OBJECT, 0),
};

static const kt_json_field raw_fields[] = {
    KT_JSON_FIELD(tape_entry, symbol, "s", TEXT, 0),
    KT_JSON_FIELD(tape_entry, number, "t", U64, 0),
    KT_JSON_FIELD(tape_entry, price, "p", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(tape_entry, quantity, "q", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(tape_entry, time_ms, "T", I64, 0),
    KT_JSON_FIELD(tape_entry, seller_took, "m", BOOL, 0),
};

/* Room for `size` more bytes of texts and one more message. */
static kt_code reserve(tape_reader *reader, size_t size, kt_err *err)
{
    kt_sim_tape *tape = &reader->tape;
    uint64_t text_capacity = reader->text_capacity != 0 ? reader->text_capacity : 1 << 20;
    uint32_t capacity = reader->message_capacity != 0 ? 2 * reader->message_capacity : 4096;
    void *mem;

    while (text_capacity - reader->text_size < size)
        text_capacity *= 2;
    if (text_capacity != reader->text_capacity) {
        mem = realloc(tape->texts, text_capacity);
        if (mem == NULL)
            return kt_fail(err, KT_SYS, "%s: no memory for its books", reader->path);
        tape->texts = mem;
        reader->text_capacity = text_capacity;
    }
    if (tape->message_count < reader->message_capacity)
        return KT_OK;
    if (tape->message_count == KT_SIM_TAPE_MAX)
        return kt_fail(err, KT_LIMIT, "%s: more than %d messages about books", reader->path, KT_SIM_TAPE_MAX);
    mem = realloc(tape->messages, capacity * sizeof *tape->messages);
    if (mem == NULL)
        return kt_fail(err, KT_SYS, "%s: no memory for its books", reader->path);
    tape->messages = mem;
    reader->message_capacity = capacity;
    return KT_OK;
}

/* A message about a book is kept as it stands; books.c reads it when its time has come. The whole book (lastUpdateId, no
 * stream) names no symbol: it is that of the first line. */
static kt_code add_book_message(tape_reader *reader, kt_text line, int64_t at_ns, bool whole, kt_err *err)
{
    kt_sim_tape *tape = &reader->tape;
    kt_sim_book_message message = { .at_ns = at_ns };
    kt_text symbol = line, event = line;
    kt_code code = KT_OK;

    if (whole && (tape->whole.size != 0 || tape->symbol_count == 0))
        return KT_OK;
    if (!whole) {
        /* {"stream":"btcusdt@depth@100ms","data":{...}}, as is checked when it is played */
        static const char before[] = "{\"stream\":\"", data[] = "\"data\":";
        const char *start = memmem(line.s, line.n, data, sizeof data - 1);

        if (line.n < sizeof before || memcmp(line.s, before, sizeof before - 1) != 0 || start == NULL ||
            start + sizeof data - 1 == line.s + line.n)
            return KT_OK;
        symbol.s = line.s + sizeof before - 1;
        symbol.n = (size_t)((const char *)memchr(line.s, '@', line.n) - symbol.s);
        event.s = start + sizeof data - 1;
        event.n = (size_t)(line.s + line.n - event.s) - 1; /* the envelope's brace */
        code = find_symbol(reader, symbol, &message.symbol, err);
    }
    if (code == KT_OK)
        code = reserve(reader, event.n, err);
    if (code != KT_OK)
        return code;
    message.at = reader->text_size;
    message.size = (uint32_t)event.n;
    memcpy(tape->texts + reader->text_size, event.s, event.n);
    reader->text_size += event.n;
    if (whole)
        tape->whole = message;
    else
        tape->messages[tape->message_count++] = message;
    return KT_OK;
}

static bool holds(kt_text line, const char *part)
{
    return memmem(line.s, line.n, part, strlen(part)) != NULL;
}

static kt_code read_raw_line(tape_reader *reader, kt_text line, kt_err *err)
{
    kt_json_node nodes[NODE_MAX];
    tape_message message = { 0 };
    tape_entry entry = { 0 };
    unsigned long long number = reader->line;
    kt_json_doc doc;
    kt_text time;

    kt_text start = { line.s, line.n < HEAD_SIZE ? line.n : HEAD_SIZE };
    bool whole = holds(start, " {\"lastUpdateId\"");
    bool book = whole || holds(start, "@depth@100ms\"") || holds(start, "@bookTicker\"");

    if (!book && !holds(line, "@trade\""))
        return KT_OK; /* others */
    if (!kt_text_cut(&line, ' ', &time) || kt_text_i64(time, &entry.at_ns) != KT_OK)
        return kt_fail(err, KT_SYNTAX, "%s:%llu: a line is '<receive time ns> <message>'", reader->path, number);
    if (book)
        return add_book_message(reader, line, entry.at_ns, whole, err);
    if (kt_json_parse(line, nodes, NODE_MAX, &doc, err) != KT_OK ||
        kt_json_fields(&doc, 0, message_fields, KT_COUNT(message_fields), NULL, &message, NULL, err) != KT_OK ||
        kt_json_fields(&doc, message.data, raw_fields, KT_COUNT(raw_fields), NULL, &entry, NULL, err) != KT_OK)
        return kt_fail_within(err, KT_SYNTAX, "%s:%llu", reader->path, number);
    return add(reader, &entry, err);
}

/* ---- csv ---- */

typedef enum column {
    COLUMN_OTHER,
    COLUMN_ID,
    COLUMN_PRICE,
    COLUMN_QUANTITY,
    COLUMN_TIME,
    COLUMN_MAKER,
    COLUMN_RECEIVED,
    COLUMN_COUNT
} column;

static const char *const column_names[COLUMN_COUNT] = {
    [COLUMN_ID] = "trade_id",
    [COLUMN_PRICE] = "price",
    [COLUMN_QUANTITY] = "qty",
    [COLUMN_TIME] = "trade_time_ms",
    [COLUMN_MAKER] = "buyer_is_maker",
    [COLUMN_RECEIVED] = "recv_ns",
};

static kt_code read_head(tape_reader *reader, kt_text line, uint8_t columns[static COLUMN_MAX], kt_err *err)
{
    uint32_t seen = 0, count = 0;
    kt_text name;

    while (line.n != 0 && count < COLUMN_MAX && kt_text_cut(&line, ',', &name)) {
        columns[count] = COLUMN_OTHER;
        for (uint8_t i = COLUMN_ID; i < COLUMN_COUNT; i++)
            if (kt_text_equal(name, kt_text_of(column_names[i]))) {
                columns[count] = i;
                seen |= 1u << i;
            }
        count++;
    }
    for (uint8_t i = COLUMN_ID; i < COLUMN_COUNT; i++)
        if ((seen & 1u << i) == 0)
            return kt_fail(err, KT_SYNTAX, "%s: the first line must name the columns, and '%s' is not there",
                reader->path, column_names[i]);
    return KT_OK;
}

static kt_code read_csv_line(
    tape_reader *reader, kt_text line, const uint8_t columns[static COLUMN_MAX], kt_text symbol, kt_err *err)
{
    tape_entry entry = { .symbol = symbol };
    kt_code code = KT_OK;
    uint64_t maker = 0;
    uint32_t seen = 0;
    kt_text value;

    for (uint32_t i = 0; i < COLUMN_MAX && line.n != 0 && kt_text_cut(&line, ',', &value) && code == KT_OK; i++) {
        seen |= 1u << columns[i];
        switch ((column)columns[i]) {
        case COLUMN_ID:
            code = kt_text_u64(value, &entry.number);
            break;
        case COLUMN_PRICE:
            code = kt_decimal_parse(value, &entry.price);
            break;
        case COLUMN_QUANTITY:
            code = kt_decimal_parse(value, &entry.quantity);
            break;
        case COLUMN_TIME:
            code = kt_text_i64(value, &entry.time_ms);
            break;
        case COLUMN_MAKER:
            code = kt_text_u64(value, &maker);
            break;
        case COLUMN_RECEIVED:
            code = kt_text_i64(value, &entry.at_ns);
            break;
        case COLUMN_OTHER:
        case COLUMN_COUNT:
            break;
        }
    }
    for (uint8_t i = COLUMN_ID; i < COLUMN_COUNT; i++)
        if (code != KT_OK || (seen & 1u << i) == 0)
            return kt_fail(
                err, KT_SYNTAX, "%s:%llu: not a row of trades", reader->path, (unsigned long long)reader->line);
    entry.seller_took = maker != 0;
    return add(reader, &entry, err);
}

/* trades_btcusdt_20240808.csv.gz: the part of the name that is a pair. */
static kt_text symbol_in_name(const char *path)
{
    const char *name = strrchr(path, '/');
    kt_text ending = kt_text_of(name != NULL ? name + 1 : path), rest = ending, part;
    char pair[32];

    kt_text_cut(&ending, '.', &rest);
    while (rest.n != 0 && kt_text_cut(&rest, '_', &part))
        if (spell_pair(part, pair))
            return part;
    return (kt_text){ 0 };
}

/* ---- files ---- */

static kt_code read_lines(tape_reader *reader, gzFile file, char *mem, bool csv, kt_text symbol, kt_err *err)
{
    uint8_t columns[COLUMN_MAX] = { 0 };
    kt_code code = KT_OK;

    while (code == KT_OK && gzgets(file, mem, LINE_SIZE) != NULL) {
        kt_text line = kt_text_of(mem);

        reader->line++;
        if (line.n == LINE_SIZE - 1 && mem[line.n - 1] != '\n')
            return kt_fail(err, KT_LIMIT, "%s:%llu: a line longer than %d bytes", reader->path,
                (unsigned long long)reader->line, LINE_SIZE - 1);
        while (line.n > 0 && (mem[line.n - 1] == '\n' || mem[line.n - 1] == '\r'))
            line.n--;
        if (line.n == 0)
            continue;
        if (!csv)
            code = read_raw_line(reader, line, err);
        else if (reader->line == 1)
            code = read_head(reader, line, columns, err);
        else
            code = read_csv_line(reader, line, columns, symbol, err);
    }
    if (code == KT_OK && !gzeof(file)) {
        int number = 0;

        code = kt_fail(
            err, KT_CORRUPT, "%s:%llu: %s", reader->path, (unsigned long long)reader->line, gzerror(file, &number));
    }
    return code;
}

kt_code kt_sim_tape_read(const char *path, const char *symbol, kt_sim_tape *out_tape, kt_err *err)
{
    tape_reader reader = { .path = path };
    bool csv = strstr(path, ".csv") != NULL;
    kt_text name = symbol != NULL ? kt_text_of(symbol) : csv ? symbol_in_name(path) : (kt_text){ 0 };
    kt_code code = KT_OK;
    gzFile file = NULL;
    char *mem = malloc(LINE_SIZE);

    if (mem == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for a line of the tape");
        goto out;
    }
    if (!csv && strstr(path, "raw") == NULL) {
        code = kt_fail(err, KT_ARG, "tape '%s': its name must end in .csv, .csv.gz, ns_raw.txt or ns_raw.txt.gz", path);
        goto out;
    }
    file = gzopen(path, "rb");
    if (file == NULL) {
        code = kt_fail(err, KT_SYS, "cannot open tape '%s'", path);
        goto out;
    }
    code = read_lines(&reader, file, mem, csv, name, err);
    if (code == KT_OK && reader.tape.count == 0)
        code = kt_fail(err, KT_SYNTAX, "tape '%s' has no trades", path);
    if (code != KT_OK)
        goto out;
    *out_tape = reader.tape;
    reader.tape = (kt_sim_tape){ 0 };
out:
    if (file != NULL)
        gzclose(file);
    kt_sim_tape_done(&reader.tape);
    free(mem);
    return code;
}

void kt_sim_tape_done(kt_sim_tape *tape)
{
    free(tape->trades);
    free(tape->messages);
    free(tape->texts);
    *tape = (kt_sim_tape){ 0 };
}
