#include "net/resolve.h"

#include "net/url.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { THREAD_STACK_SIZE = 256 * 1024 };

/* What the thread and the loop share; the last to leave frees it, so neither ever waits for the other. */
typedef struct lookup {
    atomic_int owners;
    int event_fd;
    char host[KT_URL_HOST_MAX + 1];
    uint16_t port;
    int result; /* of getaddrinfo */
    uint32_t count;
    kt_address addresses[KT_RESOLVE_ADDRESS_MAX];
} lookup;

struct kt_resolve {
    kt_loop *loop;
    kt_watch watch;
    lookup *job;
    void (*on_done)(void *ctx, const kt_address *addresses, uint32_t count, const char *error);
    void *ctx;
};

bool kt_address_parse(kt_text host, uint16_t port, kt_address *out_address)
{
    char text[INET6_ADDRSTRLEN];
    kt_address address;

    if (host.n == 0 || host.n >= sizeof text)
        return false;
    memcpy(text, host.s, host.n);
    text[host.n] = 0;
    memset(&address, 0, sizeof address);
    if (inet_pton(AF_INET, text, &address.of.v4.sin_addr) == 1) {
        address.of.v4.sin_family = AF_INET;
        address.of.v4.sin_port = htons(port);
        address.size = sizeof address.of.v4;
    } else if (inet_pton(AF_INET6, text, &address.of.v6.sin6_addr) == 1) {
        address.of.v6.sin6_family = AF_INET6;
        address.of.v6.sin6_port = htons(port);
        address.size = sizeof address.of.v6;
    } else {
        return false;
    }
    *out_address = address;
    return true;
}

void kt_address_format(const kt_address *address, char *to, size_t size)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (address->of.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->of.v4.sin_addr, text, sizeof text);
        snprintf(to, size, "%s:%u", text, ntohs(address->of.v4.sin_port));
    } else {
        inet_ntop(AF_INET6, &address->of.v6.sin6_addr, text, sizeof text);
        snprintf(to, size, "[%s]:%u", text, ntohs(address->of.v6.sin6_port));
    }
}

static void job_leave(lookup *job)
{
    if (atomic_fetch_sub(&job->owners, 1) > 1)
        return;
    close(job->event_fd);
    free(job);
}

static void job_look_up(lookup *job)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *found = NULL;

    job->result = getaddrinfo(job->host, NULL, &hints, &found);
    if (job->result != 0)
        return;
    for (struct addrinfo *at = found; at != NULL && job->count < KT_RESOLVE_ADDRESS_MAX; at = at->ai_next) {
        kt_address *address = &job->addresses[job->count];
        if ((at->ai_family != AF_INET && at->ai_family != AF_INET6) || at->ai_addrlen > sizeof address->of)
            continue;
        memcpy(&address->of, at->ai_addr, at->ai_addrlen);
        address->size = at->ai_addrlen;
        if (at->ai_family == AF_INET)
            address->of.v4.sin_port = htons(job->port);
        else
            address->of.v6.sin6_port = htons(job->port);
        job->count++;
    }
    freeaddrinfo(found);
}

static void *job_main(void *ctx)
{
    lookup *job = ctx;
    const uint64_t one = 1;

    job_look_up(job);
    (void)!write(job->event_fd, &one, sizeof one);
    job_leave(job);
    return NULL;
}

static void on_ready(kt_watch *watch, uint32_t ready)
{
    kt_resolve *resolve = watch->ctx;
    lookup *job = resolve->job;
    const char *error = job->count == 0 ? "the name has no address" : NULL;

    if (job->result == EAI_SYSTEM)
        error = "the name cannot be looked up";
    else if (job->result != 0)
        error = gai_strerror(job->result);
    kt_loop_unwatch(resolve->loop, watch);
    resolve->on_done(resolve->ctx, job->addresses, job->count, error);
    job_leave(job);
    free(resolve);
}

static kt_code thread_start(lookup *job)
{
    pthread_attr_t attr;
    pthread_t thread;

    atomic_store(&job->owners, 2);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, THREAD_STACK_SIZE);
    int result = pthread_create(&thread, &attr, job_main, job);
    pthread_attr_destroy(&attr);
    if (result == 0)
        return KT_OK;
    atomic_store(&job->owners, 1);
    errno = result;
    return KT_SYS;
}

kt_code kt_resolve_start(kt_loop *loop, kt_text host, uint16_t port,
    void (*on_done)(void *ctx, const kt_address *addresses, uint32_t count, const char *error), void *ctx,
    kt_resolve **out_resolve, kt_err *err)
{
    kt_code code = KT_SYS;
    kt_resolve *resolve = calloc(1, sizeof *resolve);
    lookup *work = calloc(1, sizeof *work);
    int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (resolve == NULL || work == NULL || event_fd < 0)
        goto out;
    if (host.n == 0 || host.n > KT_URL_HOST_MAX) {
        code = KT_ARG;
        goto out;
    }
    work->event_fd = event_fd;
    work->port = port;
    memcpy(work->host, host.s, host.n);
    atomic_store(&work->owners, 1);
    *resolve = (kt_resolve){ loop, { on_ready, resolve, event_fd, KT_LOOP_READ, false }, work, on_done, ctx };
    code = kt_loop_watch(loop, &resolve->watch, NULL);
    if (code != KT_OK)
        goto out;
    if (kt_address_parse(host, port, &work->addresses[0])) {
        const uint64_t one = 1;
        work->count = 1;
        code = write(event_fd, &one, sizeof one) == (ssize_t)sizeof one ? KT_OK : KT_SYS;
    } else {
        code = thread_start(work);
    }
    if (code != KT_OK) {
        kt_loop_unwatch(loop, &resolve->watch);
        goto out;
    }
    *out_resolve = resolve;
    resolve = NULL;
    work = NULL;
    event_fd = -1;
out:
    if (code != KT_OK)
        kt_fail(err, code, "cannot look up the host '%.100s'", host.n > 0 && work != NULL ? work->host : "");
    if (event_fd >= 0)
        close(event_fd);
    free(work);
    free(resolve);
    return code;
}

void kt_resolve_cancel(kt_resolve *resolve)
{
    if (resolve == NULL)
        return;
    kt_loop_unwatch(resolve->loop, &resolve->watch);
    job_leave(resolve->job);
    free(resolve);
}
