#include "edge/gate.h"

#include "base/hash.h"
#include "base/text.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>

#define TOKEN KT_NS_PER_S /* in what buckets count in */

enum { WAY_COUNT = 8, SET_COUNT = KT_GATE_CLIENT_MAX / WAY_COUNT };

/* What was taken out of a bucket and has not come back yet, in 1e-9 tokens: a rate of so many tokens a second is exactly so
 * many of these a nanosecond. */
typedef struct bucket {
    char address[KT_GATE_ADDRESS_SIZE];
    int64_t missing;
    int64_t seen_ns; /* when that was so */
} bucket;

struct kt_gate {
    bucket buckets[SET_COUNT][WAY_COUNT];
};

/* ---- who ---- */

void kt_gate_client_init(kt_gate_client *client, const char *peer, bool operates)
{
    const char *port = strrchr(peer, ':');
    size_t n = port != NULL ? (size_t)(port - peer) : strlen(peer);

    *client = (kt_gate_client){ .operates = operates };
    snprintf(client->address, sizeof client->address, "%.*s", (int)n, peer);
}

static bool is_port(kt_text text) /* ":3000", or nothing */
{
    uint64_t port;

    return text.n == 0 || (text.s[0] == ':' && kt_text_u64((kt_text){ text.s + 1, text.n - 1 }, &port) == KT_OK);
}

/* A name that nobody but this machine itself has. */
static bool is_this_machine(kt_text authority)
{
    static const char *const names[] = { "127.0.0.1", "localhost", "[::1]" };

    for (uint32_t i = 0; i < KT_COUNT(names); i++) {
        size_t n = strlen(names[i]);

        if (authority.n >= n && kt_http_text_equal_nocase((kt_text){ authority.s, n }, kt_text_of(names[i])) &&
            is_port((kt_text){ authority.s + n, authority.n - n }))
            return true;
    }
    return false;
}

bool kt_gate_operates(const kt_http_request *request)
{
    static const char *const schemes[] = { "http://", "https://" };
    kt_text origin;

    if (!kt_http_field_get(request->fields, request->field_count, KT_TEXT("Origin"), &origin))
        return true;
    if (!is_this_machine(request->host))
        return false;
    for (uint32_t i = 0; i < KT_COUNT(schemes); i++) {
        size_t n = strlen(schemes[i]);

        if (origin.n > n && memcmp(origin.s, schemes[i], n) == 0)
            return kt_http_text_equal_nocase((kt_text){ origin.s + n, origin.n - n }, request->host);
    }
    return false;
}

/* ---- how often ---- */

static void fill(bucket *one, int64_t now_ns, uint32_t rate)
{
    int64_t passed_ns = now_ns - one->seen_ns;

    one->missing -= passed_ns < one->missing / rate ? passed_ns * rate : one->missing;
    one->seen_ns = now_ns;
}

/* The bucket of this address, as it is now. */
static bucket *find(kt_gate *gate, const char *address, int64_t now_ns, uint32_t rate)
{
    bucket *set = gate->buckets[kt_hash64(address, strlen(address), 0) % SET_COUNT];
    bucket *fullest = set;

    for (uint32_t i = 0; i < WAY_COUNT; i++) {
        fill(&set[i], now_ns, rate);
        if (strcmp(set[i].address, address) == 0)
            return &set[i];
        if (set[i].missing < fullest->missing)
            fullest = &set[i];
    }
    *fullest = (bucket){ .seen_ns = now_ns };
    snprintf(fullest->address, sizeof fullest->address, "%s", address);
    return fullest;
}

kt_code kt_gate_pass(kt_gate *gate, const kt_gate_client *client, const kt_action *action, int64_t now_ns,
    uint32_t rate, uint32_t burst, kt_refusal *out_refusal)
{
    int64_t over;
    bucket *own;

    if (action->scope == KT_SCOPE_OPERATE && !client->operates)
        return kt_refuse(out_refusal, KT_DENIED, NULL,
            "%s changes something, and a web page that is not the house's own asked for it; programs may, and the page "
            "at http://127.0.0.1",
            action->name);
    if (rate == 0 || action->cost == 0)
        return KT_OK;
    own = find(gate, client->address, now_ns, rate);
    over = own->missing + (action->cost - (int64_t)burst) * TOKEN;
    if (over > 0) {
        kt_refuse(out_refusal, KT_RATE, NULL,
            "%s takes %u tokens; a client has at most %u and gets %u a second (edge.call_burst, edge.call_rate)",
            action->name, action->cost, burst, rate);
        out_refusal->retry_s = (uint32_t)((over + rate * TOKEN - 1) / (rate * TOKEN));
        return KT_RATE;
    }
    own->missing += action->cost * TOKEN;
    return KT_OK;
}

/* ---- life ---- */

kt_gate *kt_gate_new(void)
{
    return calloc(1, sizeof(kt_gate));
}

void kt_gate_free(kt_gate *gate)
{
    free(gate);
}
