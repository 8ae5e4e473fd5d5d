/* A book of one symbol on libkontor-match alone: cc match_example.c $(pkg-config --cflags --libs kontor-match) */
#include <kontor/match.h>

#include <stdio.h>

static void print(const kt_match_event *event)
{
    const kt_match_trade *trade = (const kt_match_trade *)event;
    unsigned long long id = event->id, other = event->other;

    switch (event->kind) {
    case KT_MATCH_ACCEPTED:
        printf("accepted   %llu\n", id);
        break;
    case KT_MATCH_REJECTED:
        printf("rejected   %llu: %s\n", id, kt_match_why_text(event->why));
        break;
    case KT_MATCH_TRADE:
        printf("trade      %llu takes %lld from %llu at %u, %lld left\n", other, (long long)event->qty, id,
            event->price, (long long)trade->taker_left);
        break;
    case KT_MATCH_CANCELLED:
        printf("cancelled  %llu: %s\n", id, kt_match_why_text(event->why));
        break;
    case KT_MATCH_LEVEL:
        printf("level      %s %u: %lld\n", event->side == KT_MATCH_BUY ? "bid" : "ask", event->price,
            (long long)event->qty);
        break;
    }
}

int main(void)
{
    const kt_match_bounds bounds = {
        .symbol_max = 1, .order_max = 1000, .price_max = 100000, .qty_max = 1000000, .ids = KT_MATCH_HASH
    };
    const kt_match_command commands[] = {
        { .op = KT_MATCH_NEW, .id = 1, .side = KT_MATCH_SELL, .price = 101, .qty = 5 },
        { .op = KT_MATCH_NEW, .id = 2, .side = KT_MATCH_SELL, .price = 102, .qty = 5 },
        { .op = KT_MATCH_NEW, .id = 3, .side = KT_MATCH_BUY, .price = 102, .qty = 7, .tif = KT_MATCH_IOC },
        { .op = KT_MATCH_NEW, .id = 4, .side = KT_MATCH_BUY, .price = 102, .qty = 7, .post_only = 1 },
        { .op = KT_MATCH_CANCEL, .id = 2 },
    };
    kt_match_event events[1024]; /* room for all that these few commands can tell; otherwise set `more` */
    kt_match_out out = { .next = events, .end = events + 1024 };
    kt_match *match = kt_match_new(&bounds);

    if (match == NULL) {
        fprintf(stderr, "no book: %s\n",
            kt_match_bounds_wrong(&bounds) != NULL ? kt_match_bounds_wrong(&bounds) : "no memory");
        return 1;
    }
    kt_match_submit(match, commands, sizeof commands / sizeof *commands, &out);
    for (const kt_match_event *event = events; event < out.next; event = kt_match_next(event))
        print(event);
    printf("live       %u orders, state %016llx\n", kt_match_live(match), (unsigned long long)kt_match_hash(match));
    kt_match_free(match);
    return 0;
}
