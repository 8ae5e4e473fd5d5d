#include "simulate/vnet.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "net/fetch.h"
#include "net/http_parser.h"
#include "net/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PIECE = 32 << 10,    /* read from an end at once */
    FAULT_BYTES = 65536, /* after at most so many bytes a link shows its fault */
    TRICKLE_BYTES = 64,  /* at once, at most */
    TRICKLE_MS = 5,      /* between two pieces, at most */
    FULL_MS = 2,         /* until an end that takes nothing is tried again */
    WAITING_MAX = 4096,  /* not accepted yet */
    REQUEST_SIZE = 4096,
    ANSWER_FIRST = 64 << 10,
};

typedef struct vnet_link vnet_link;

/* One direction. */
typedef struct way {
    vnet_link *link;
    int from, to;   /* ours, of the pairs */
    kt_watch watch; /* of `from`, while nothing is on the way */
    kt_timer timer; /* when the next piece arrives */
    uint8_t *bytes; /* PIECE; NULL: nothing is on the way */
    uint32_t at, end;
    bool ends; /* behind the bytes: this end has closed */
} way;

struct vnet_link {
    kt_vnet *net;
    vnet_link *next, *before;
    uint32_t owners[2];
    way ways[2];
    int64_t latency_ns;
    uint64_t left; /* bytes until the fault */
    enum { SOUND, CUT, SILENT, TRICKLES } fault;
};

typedef struct listener {
    int fd; /* an eventfd that counts who waits; -1: none */
    uint32_t owner;
    uint16_t port;
    int waiting[WAITING_MAX];
    uint32_t first, count;
} listener;

typedef struct net_owner {
    kt_vnet *net;
    uint32_t index;
    kt_net calls;
} net_owner;

/* An outgoing request. */
typedef struct request {
    struct request *next, *before;
    kt_vnet *net;
    const void *owner;
    uint64_t id;
    kt_loop *loop;
    int fd; /* -1: not connected */
    kt_watch watch;
    kt_timer deadline;
    void (*on_done)(void *ctx, const kt_fetch_answer *answer);
    void *ctx;
    char text[REQUEST_SIZE];
    uint32_t text_size, sent;
    char *answer;
    size_t size, room, max;
} request;

struct kt_vnet {
    kt_loop *loop;
    kt_rng *rng;
    kt_vnet_faults faults;
    net_owner owners[KT_VNET_OWNER_MAX];
    listener listeners[KT_VNET_PORT_MAX];
    vnet_link *links;
    request *requests;
    kt_vnet_counts counts;
};

/* ---- links ---- */

static void way_done(kt_vnet *net, way *one)
{
    kt_loop_unwatch(net->loop, &one->watch);
    kt_timer_cancel(net->loop, &one->timer);
    free(one->bytes);
}

static void link_free(vnet_link *link)
{
    kt_vnet *net = link->net;

    if (link->before != NULL)
        link->before->next = link->next;
    else
        net->links = link->next;
    if (link->next != NULL)
        link->next->before = link->before;
    way_done(net, &link->ways[0]);
    way_done(net, &link->ways[1]);
    close(link->ways[0].from);
    close(link->ways[1].from);
    net->counts.open--;
    free(link);
}

static void way_wait(way *one, int64_t wait_ns)
{
    kt_loop *loop = one->link->net->loop;
    int64_t grain_ns = one->link->net->faults.grain_ns, due_ns = kt_loop_now(loop) + wait_ns;

    if (grain_ns > 0)
        due_ns += grain_ns - due_ns % grain_ns;
    kt_assert(kt_timer_set(loop, &one->timer, due_ns) == KT_OK);
}

static void on_readable(kt_watch *watch, uint32_t ready)
{
    way *one = watch->ctx;
    kt_vnet *net = one->link->net;

    one->bytes = malloc(PIECE);
    kt_assert(one->bytes != NULL);
    ssize_t got = recv(one->from, one->bytes, PIECE, 0);
    one->at = 0;
    one->end = got > 0 ? (uint32_t)got : 0;
    one->ends = got == 0 || (got < 0 && errno != EAGAIN);
    kt_loop_watch_change(net->loop, watch, 0);
    way_wait(one, one->link->latency_ns);
}

/* How much of what is on the way arrives now. */
static uint32_t portion(way *one)
{
    vnet_link *link = one->link;
    uint32_t size = one->end - one->at;

    if (link->fault == TRICKLES) {
        uint32_t few = 1 + (uint32_t)kt_rng_below(link->net->rng, TRICKLE_BYTES);
        return few < size ? few : size;
    }
    return link->fault != SOUND && link->left < size ? (uint32_t)link->left : size;
}

static void on_arrival(kt_timer *timer)
{
    way *one = timer->ctx;
    vnet_link *link = one->link;
    kt_vnet *net = link->net;
    uint32_t size = portion(one);

    if (link->fault == SILENT && link->left == 0)
        size = one->end - one->at; /* swallowed */
    else if (size > 0) {
        ssize_t sent = send(one->to, one->bytes + one->at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            way_wait(one, FULL_MS * KT_NS_PER_MS);
            return;
        }
        if (sent < 0) {
            link_free(link);
            return;
        }
        size = (uint32_t)sent;
        link->left -= size < link->left ? size : link->left;
    }
    one->at += size;
    if (link->fault == CUT && link->left == 0) {
        net->counts.cut++;
        link_free(link);
    } else if (one->at < one->end) {
        way_wait(one, 1 + kt_rng_between(net->rng, 0, link->fault == TRICKLES ? TRICKLE_MS * KT_NS_PER_MS : 1000));
    } else if (one->ends) {
        link_free(link); /* nobody here closes one direction and goes on with the other */
    } else {
        free(one->bytes);
        one->bytes = NULL;
        kt_loop_watch_change(net->loop, &one->watch, KT_LOOP_READ);
    }
}

static void draw_fault(vnet_link *link)
{
    kt_vnet *net = link->net;
    const kt_vnet_faults *faults = &net->faults;
    double dice = kt_rng_unit(net->rng);

    link->latency_ns = faults->latency_max_ns > 0 ? kt_rng_between(net->rng, 0, faults->latency_max_ns) : 0;
    link->left = kt_rng_below(net->rng, FAULT_BYTES);
    if (dice < faults->cut)
        link->fault = CUT;
    else if (dice < faults->cut + faults->silent)
        link->fault = SILENT;
    else if (dice < faults->cut + faults->silent + faults->trickles)
        link->fault = TRICKLES;
    net->counts.silent += link->fault == SILENT;
    net->counts.trickled += link->fault == TRICKLES;
}

/* A link between two owners: the descriptors of both ends. */
static bool link_new(kt_vnet *net, uint32_t client, uint32_t server, int out_fds[2])
{
    vnet_link *link = calloc(1, sizeof *link);
    int pairs[2][2] = { { -1, -1 }, { -1, -1 } };

    if (link == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pairs[0]) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pairs[1]) != 0) {
        if (pairs[0][0] >= 0) {
            close(pairs[0][0]);
            close(pairs[0][1]);
        }
        free(link);
        return false;
    }
    link->net = net;
    link->owners[0] = client;
    link->owners[1] = server;
    for (int i = 0; i < 2; i++) {
        way *one = &link->ways[i];
        *one = (way){ .link = link,
            .from = pairs[i][0],
            .to = pairs[1 - i][0],
            .watch = { .on_ready = on_readable, .ctx = one, .fd = pairs[i][0], .events = KT_LOOP_READ },
            .timer = { .on_due = on_arrival, .ctx = one } };
        kt_assert(kt_loop_watch(net->loop, &one->watch, NULL) == KT_OK);
        out_fds[i] = pairs[i][1];
    }
    draw_fault(link);
    link->next = net->links;
    if (link->next != NULL)
        link->next->before = link;
    net->links = link;
    net->counts.links++;
    net->counts.open++;
    return true;
}

/* ---- the calls ---- */

static listener *listener_of(kt_vnet *net, uint16_t port)
{
    for (uint32_t i = 0; i < KT_VNET_PORT_MAX; i++)
        if (net->listeners[i].fd >= 0 && net->listeners[i].port == port)
            return &net->listeners[i];
    return NULL;
}

static int net_connect(void *ctx, const kt_address *to)
{
    net_owner *own = ctx;
    kt_vnet *net = own->net;
    listener *at = listener_of(net, ntohs(to->of.v4.sin_port));
    const uint64_t one = 1;
    int fds[2];

    if (at == NULL || at->count == WAITING_MAX || kt_rng_chance(net->rng, net->faults.refused)) {
        net->counts.refused++;
        errno = ECONNREFUSED;
        return -1;
    }
    if (!link_new(net, own->index, at->owner, fds))
        return -1;
    at->waiting[(at->first + at->count++) % WAITING_MAX] = fds[1];
    kt_assert(write(at->fd, &one, sizeof one) == (ssize_t)sizeof one);
    return fds[0];
}

static int net_listen(void *ctx, kt_address *at)
{
    net_owner *own = ctx;
    kt_vnet *net = own->net;
    uint16_t port = ntohs(at->of.v4.sin_port);

    if (listener_of(net, port) != NULL) {
        errno = EADDRINUSE;
        return -1;
    }
    for (uint32_t i = 0; i < KT_VNET_PORT_MAX; i++) {
        listener *free_one = &net->listeners[i];
        if (free_one->fd >= 0)
            continue;
        free_one->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE);
        free_one->owner = own->index;
        free_one->port = port;
        free_one->first = free_one->count = 0;
        return free_one->fd;
    }
    errno = EMFILE;
    return -1;
}

static void net_unlisten(void *ctx, int fd)
{
    kt_vnet *net = ((net_owner *)ctx)->net;

    for (uint32_t i = 0; i < KT_VNET_PORT_MAX; i++) {
        listener *at = &net->listeners[i];
        if (at->fd != fd)
            continue;
        while (at->count > 0) {
            close(at->waiting[at->first]);
            at->first = (at->first + 1) % WAITING_MAX;
            at->count--;
        }
        at->fd = -1;
    }
    close(fd);
}

static int net_accept(void *ctx, int fd)
{
    kt_vnet *net = ((net_owner *)ctx)->net;
    uint64_t one;

    for (uint32_t i = 0; i < KT_VNET_PORT_MAX; i++) {
        listener *at = &net->listeners[i];
        if (at->fd != fd || at->count == 0)
            continue;
        kt_assert(read(fd, &one, sizeof one) == (ssize_t)sizeof one);
        int accepted = at->waiting[at->first];
        at->first = (at->first + 1) % WAITING_MAX;
        at->count--;
        return accepted;
    }
    errno = EAGAIN;
    return -1;
}

/* ---- requests ---- */

static void request_free(request *r)
{
    kt_vnet *net = r->net;

    if (r->before != NULL)
        r->before->next = r->next;
    else
        net->requests = r->next;
    if (r->next != NULL)
        r->next->before = r->before;
    kt_timer_cancel(r->loop, &r->deadline);
    kt_loop_unwatch(r->loop, &r->watch);
    if (r->fd >= 0)
        close(r->fd);
    free(r->answer);
    free(r);
}

static void request_done(request *r, const kt_fetch_answer *answer)
{
    void (*on_done)(void *, const kt_fetch_answer *) = r->on_done;
    void *ctx = r->ctx;
    char *bytes = r->answer;

    r->answer = NULL; /* the answer's texts lie in it */
    request_free(r);
    on_done(ctx, answer);
    free(bytes);
}

static void request_failed(request *r, kt_code code, const char *error)
{
    request_done(r, &(kt_fetch_answer){ .code = code, .error = error, .content_type = "", .retry_after = "" });
}

static void header_of(const kt_http_response_head *head, kt_text name, char *out, size_t size)
{
    kt_text value = { 0 };

    if (!kt_http_field_get(head->fields, head->field_count, name, &value))
        value.n = 0;
    snprintf(out, size, "%.*s", KT_TEXT_ARG(value));
}

/* Is the answer whole? `ended`: nothing more comes. */
static void look(request *r, bool ended)
{
    kt_http_response_head head;
    kt_http_error error;
    kt_http_scan scan = { 0 };
    size_t used = 0;
    uint64_t length = 0;
    char content_type[KT_FETCH_HEADER_SIZE_MAX], retry_after[KT_FETCH_HEADER_SIZE_MAX];
    char text[32];
    kt_code code = kt_http_parse_response(&scan, (kt_text){ r->answer, r->size }, &head, &used, &error);

    if (code == KT_EMPTY && !ended)
        return;
    if (code != KT_OK) {
        request_failed(r, KT_SYS, "127.0.0.1: no whole answer came");
        return;
    }
    header_of(&head, KT_TEXT("Content-Length"), text, sizeof text);
    bool measured = kt_text_u64(kt_text_of(text), &length) == KT_OK;
    if (measured ? r->size - used < length : !ended) {
        if (ended)
            request_failed(r, KT_SYS, "127.0.0.1: the answer was cut off");
        return;
    }
    if (measured && length > r->max) {
        request_failed(r, KT_LIMIT, "127.0.0.1: the answer is too large");
        return;
    }
    header_of(&head, KT_TEXT("Content-Type"), content_type, sizeof content_type);
    header_of(&head, KT_TEXT("Retry-After"), retry_after, sizeof retry_after);
    request_done(r, &(kt_fetch_answer){ .code = KT_OK,
                        .error = "",
                        .status = head.status,
                        .content_type = content_type,
                        .retry_after = retry_after,
                        .body = { r->answer + used, measured ? (size_t)length : r->size - used } });
}

static void on_request_ready(kt_watch *watch, uint32_t ready)
{
    request *r = watch->ctx;

    if (r->sent < r->text_size) {
        ssize_t sent = send(r->fd, r->text + r->sent, r->text_size - r->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            request_failed(r, KT_SYS, "127.0.0.1: the connection broke");
            return;
        }
        r->sent += sent > 0 ? (uint32_t)sent : 0;
        if (r->sent == r->text_size)
            kt_loop_watch_change(r->loop, watch, KT_LOOP_READ);
        return;
    }
    if (r->room - r->size < PIECE) {
        r->room = r->room == 0 ? ANSWER_FIRST : 2 * r->room;
        r->answer = realloc(r->answer, r->room);
        kt_assert(r->answer != NULL);
    }
    ssize_t got = recv(r->fd, r->answer + r->size, r->room - r->size, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    r->size += got > 0 ? (size_t)got : 0;
    if (r->size > r->max + PIECE)
        request_failed(r, KT_LIMIT, "127.0.0.1: the answer is too large");
    else
        look(r, got <= 0);
}

static void on_request_late(kt_timer *timer)
{
    request *r = timer->ctx;

    if (r->fd < 0)
        request_failed(r, KT_SYS, "127.0.0.1: Connection refused");
    else
        request_failed(r, KT_TIMEOUT, "127.0.0.1: no answer in time");
}

static kt_code net_fetch(
    void *ctx, kt_loop *loop, const struct kt_fetch_spec *spec, const void *owner, uint64_t id, kt_err *err)
{
    net_owner *own = ctx;
    kt_vnet *net = own->net;
    kt_address address = { 0 };
    kt_url url;
    request *r = calloc(1, sizeof *r);
    kt_code code = r != NULL ? kt_url_parse(kt_text_of(spec->url), &url, err) : kt_fail(err, KT_SYS, "no memory");

    if (code == KT_OK && !kt_address_parse(url.host, url.port, &address))
        code = kt_fail(err, KT_ARG, "'%s' is no address of a made-up network", spec->url);
    if (code != KT_OK) {
        free(r);
        return code;
    }
    *r = (request){ .net = net, .owner = owner, .id = id, .loop = loop, .on_done = spec->on_done, .ctx = spec->ctx };
    r->text_size = (uint32_t)snprintf(r->text, sizeof r->text,
        "GET %.*s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", KT_TEXT_ARG(url.target));
    kt_assert(r->text_size < sizeof r->text && spec->method == KT_HTTP_GET && spec->field_count == 0);
    r->max = spec->answer_max != 0 ? spec->answer_max : KT_FETCH_ANSWER_MAX_DEFAULT;
    r->deadline = (kt_timer){ .on_due = on_request_late, .ctx = r };
    r->fd = net_connect(own, &address);
    r->watch = (kt_watch){ .on_ready = on_request_ready, .ctx = r, .fd = r->fd, .events = KT_LOOP_WRITE };
    r->next = net->requests;
    if (r->next != NULL)
        r->next->before = r;
    net->requests = r;
    int64_t time_ms = r->fd < 0 ? 0 : spec->time_ms != 0 ? spec->time_ms : KT_FETCH_TIME_DEFAULT_MS;
    kt_assert(kt_timer_set(loop, &r->deadline, kt_loop_now(loop) + time_ms * KT_NS_PER_MS) == KT_OK);
    kt_assert(r->fd < 0 || kt_loop_watch(loop, &r->watch, NULL) == KT_OK);
    return KT_OK;
}

static void net_cancel(void *ctx, const void *owner, uint64_t id)
{
    kt_vnet *net = ((net_owner *)ctx)->net;

    for (request *r = net->requests, *next; r != NULL; r = next) {
        next = r->next;
        if (r->owner == owner && (id == 0 || r->id == id))
            request_free(r);
    }
}

/* ---- life ---- */

const kt_net *kt_vnet_of(kt_vnet *net, uint32_t owner)
{
    return &net->owners[owner].calls;
}

void kt_vnet_set(kt_vnet *net, const kt_vnet_faults *faults)
{
    net->faults = *faults;
    if (faults->cut > 0 || faults->silent > 0 || faults->trickles > 0)
        return;
    for (vnet_link *link = net->links, *next; link != NULL; link = next) {
        next = link->next;
        if (link->fault == SILENT)
            link_free(link);
        else
            link->fault = SOUND;
    }
}

void kt_vnet_sever(kt_vnet *net, uint32_t owner)
{
    for (vnet_link *link = net->links, *next; link != NULL; link = next) {
        next = link->next;
        if (link->owners[0] == owner || link->owners[1] == owner)
            link_free(link);
    }
}

kt_code kt_vnet_new(kt_loop *loop, kt_rng *rng, kt_vnet **out_net, kt_err *err)
{
    kt_vnet *net = calloc(1, sizeof *net);

    if (net == NULL)
        return kt_fail(err, KT_SYS, "no memory for a network");
    net->loop = loop;
    net->rng = rng;
    for (uint32_t i = 0; i < KT_VNET_PORT_MAX; i++)
        net->listeners[i].fd = -1;
    for (uint32_t i = 0; i < KT_VNET_OWNER_MAX; i++) {
        net_owner *own = &net->owners[i];
        own->net = net;
        own->index = i;
        own->calls = (kt_net){ .ctx = own,
            .connect = net_connect,
            .listen = net_listen,
            .unlisten = net_unlisten,
            .accept = net_accept,
            .fetch = net_fetch,
            .cancel = net_cancel };
    }
    *out_net = net;
    return KT_OK;
}

void kt_vnet_free(kt_vnet *net)
{
    if (net == NULL)
        return;
    while (net->links != NULL)
        link_free(net->links);
    while (net->requests != NULL)
        request_free(net->requests);
    free(net);
}

kt_vnet_counts kt_vnet_count(const kt_vnet *net)
{
    return net->counts;
}
