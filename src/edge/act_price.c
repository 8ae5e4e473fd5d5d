#include "edge/act.h"

#include "base/text.h"
#include "base/time.h"

enum {
    KNOWN_MAX = 20, /* tickers that a message lists */
    MORE_SIZE = 32, /* room for a comma before one, and for " and N more" behind the last */
};

/* ---- tickers ---- */

static bool subject_of(
    const kt_config *config, kt_text ticker, bool composite, char room[KT_SUBJECT_MAX + 1], kt_text *out)
{
    kt_builder builder;
    kt_text venue;
    kt_text symbol;

    kt_builder_init(&builder, room, KT_SUBJECT_MAX + 1);
    kt_builder_format(&builder, "vwap.%s.", config->interval_name);
    if (composite) {
        if (kt_subject_token(&builder, ticker) != KT_OK)
            return false;
    } else {
        if (kt_config_ticker_of(config, ticker, &venue, &symbol) != KT_OK || kt_subject_token(&builder, venue) != KT_OK)
            return false;
        kt_builder_char(&builder, '.');
        if (kt_subject_token(&builder, symbol) != KT_OK)
            return false;
    }
    *out = kt_builder_done(&builder);
    return builder.code == KT_OK;
}

/* What a ticker stands for has one place in the configuration; a composite of that name is looked for where it has
 * none. */
static const kt_latest_value *latest_of(const kt_act_house *house, kt_text ticker)
{
    char room[KT_SUBJECT_MAX + 1];
    kt_text subject;
    const kt_latest_value *value = NULL;

    if (subject_of(house->config, ticker, false, room, &subject))
        value = kt_latest_find(house->latest, subject);
    if (value == NULL && subject_of(house->config, ticker, true, room, &subject))
        value = kt_latest_find(house->latest, subject);
    return value;
}

/* Is it listed under compat.tickers? */
static bool is_ticker(const kt_config *config, kt_text ticker)
{
    for (uint32_t i = 0; i < config->ticker_count; i++)
        if (kt_text_equal(kt_text_of(config->tickers[i].ticker), ticker))
            return true;
    return false;
}

static bool is_configured(const kt_config *config, kt_text ticker)
{
    kt_text venue;
    kt_text symbol;

    for (uint32_t i = 0; i < config->composite_count; i++)
        if (kt_text_equal(kt_text_of(config->composites[i].ticker), ticker))
            return true;
    return kt_config_ticker_of(config, ticker, &venue, &symbol) == KT_OK;
}

typedef struct known_list {
    kt_builder builder;
    uint32_t count, listed;
} known_list;

static void list_one(known_list *list, kt_text ticker)
{
    bool listed = list->listed == list->count && list->count < KNOWN_MAX &&
                  list->builder.n + ticker.n + MORE_SIZE <= list->builder.size;

    list->count++;
    if (!listed)
        return;
    kt_builder_str(&list->builder, list->listed++ > 0 ? ", " : "");
    kt_builder_text(&list->builder, ticker);
}

/* Tickers that have a value now: those of the configuration, then symbols that can be asked for by their own name. */
static const char *known_tickers(const kt_act_house *house, char *mem, size_t size)
{
    const kt_config *config = house->config;
    known_list list = { .count = 0 };

    kt_builder_init(&list.builder, mem, size);
    for (uint32_t i = 0; i < config->ticker_count; i++)
        if (latest_of(house, kt_text_of(config->tickers[i].ticker)) != NULL)
            list_one(&list, kt_text_of(config->tickers[i].ticker));
    for (uint32_t i = 0; i < config->composite_count; i++)
        if (!is_ticker(config, kt_text_of(config->composites[i].ticker)) &&
            latest_of(house, kt_text_of(config->composites[i].ticker)) != NULL)
            list_one(&list, kt_text_of(config->composites[i].ticker));
    for (uint32_t i = 0; i < kt_latest_count(house->latest); i++) {
        const kt_latest_value *value = kt_latest_at(house->latest, i);
        kt_text token = kt_subject_part(value->subject, 3);
        char raw[KT_SUBJECT_MAX + 1];
        kt_builder symbol;

        kt_builder_init(&symbol, raw, sizeof raw);
        if (token.n != 0 && kt_subject_token_decode(token, &symbol) == KT_OK &&
            !is_ticker(config, kt_builder_done(&symbol)) && latest_of(house, kt_builder_done(&symbol)) == value)
            list_one(&list, kt_builder_done(&symbol));
    }
    if (list.count == 0)
        return "none has a value yet";
    if (list.count > list.listed)
        kt_builder_format(&list.builder, " and %u more", list.count - list.listed);
    return mem;
}

/* ---- vwap.latest ---- */

kt_code kt_act_vwap_latest(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal)
{
    kt_text ticker = ((const kt_params_vwap_latest *)params)->ticker;
    const kt_latest_value *value = latest_of(house, ticker);
    const kt_table *table = &kt_actions[KT_ACTION_vwap_latest].response;
    kt_response_vwap_latest response;
    char known[512];

    if (value == NULL && !kt_hub_watch_ready(house->hub))
        return kt_refuse(out_refusal, KT_BUSY, NULL, "the log is still being read; try again in a second");
    if (value == NULL && kt_hub_trouble(house->hub) != NULL)
        return kt_refuse(out_refusal, KT_BUSY, NULL, "a log can not be read: %s", kt_hub_trouble(house->hub)->msg);
    if (value == NULL)
        return kt_refuse(out_refusal, KT_NOENT, "ticker", "%s '%.*s'; known: %s",
            is_configured(house->config, ticker) ? "there is no price yet of" : "there is no ticker",
            KT_TEXT_ARG(ticker), known_tickers(house, known, sizeof known));
    kt_table_init(table, &response);
    response.ticker = ticker;
    response.price = kt_decimal_canon(value->price);
    response.ts = value->mark_ns;
    kt_table_write_json(table, &response, writer);
    return KT_OK;
}

/* ---- vwap.historical: what the edge knows before lane keep is asked ---- */

static bool is_window(const kt_config *config, uint64_t interval_ms, char *known, size_t size)
{
    kt_builder list;
    bool found = false;

    kt_builder_init(&list, known, size);
    for (uint32_t i = 0; i < config->window_count; i++) {
        found = found || config->windows_ns[i] / KT_NS_PER_MS == (int64_t)interval_ms;
        kt_builder_format(&list, "%s%s (%lld)", i != 0 ? ", " : "", config->window_names[i],
            (long long)(config->windows_ns[i] / KT_NS_PER_MS));
    }
    return found;
}

kt_code kt_act_prepare_historical(const kt_act_house *house, void *params, kt_refusal *out_refusal)
{
    kt_params_vwap_historical *given = params;
    char known[512];

    if (given->ts % KT_NS_PER_S != 0)
        return kt_refuse(out_refusal, KT_RANGE, "ts",
            "ts %lld is no mark: marks are whole seconds, so ms that end in 000", (long long)kt_time_to_ms(given->ts));
    if (given->interval == 0)
        given->interval = (uint64_t)(house->config->interval_ns / KT_NS_PER_MS);
    if (!is_window(house->config, given->interval, known, sizeof known))
        return kt_refuse(out_refusal, KT_RANGE, "interval", "there is no interval of %llu ms; configured, in ms: %s",
            (unsigned long long)given->interval, known);
    if (!is_configured(house->config, given->ticker) && latest_of(house, given->ticker) == NULL)
        return kt_refuse(out_refusal, KT_NOENT, "ticker", "there is no ticker '%.*s'; known: %s",
            KT_TEXT_ARG(given->ticker), known_tickers(house, known, sizeof known));
    return KT_OK;
}
