/* A peer of net_bench: libwebsockets as its examples use it, one message for each time a client may be written to. Each
 * line of standard input is a number: so many messages to everybody. */
#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_SIZE = 200 };

typedef struct session {
    int left; /* messages to send */
} session;

static atomic_int wanted;
static int newly;
static struct lws_context *context;
static struct lws_vhost *vhost;

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size)
{
    static unsigned char message[LWS_PRE + MESSAGE_SIZE];
    session *own = user;

    if (reason == LWS_CALLBACK_USER && own != NULL) {
        own->left += newly;
        lws_callback_on_writable(wsi);
    } else if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED) {
        newly = atomic_exchange(&wanted, 0);
        if (newly > 0)
            lws_callback_all_protocol_vhost(vhost, lws_vhost_name_to_protocol(vhost, "bench"), LWS_CALLBACK_USER);
    } else if (reason == LWS_CALLBACK_SERVER_WRITEABLE && own->left > 0) {
        memset(message + LWS_PRE, 'x', MESSAGE_SIZE);
        if (lws_write(wsi, message + LWS_PRE, MESSAGE_SIZE, LWS_WRITE_TEXT) < MESSAGE_SIZE)
            return -1;
        if (--own->left > 0)
            lws_callback_on_writable(wsi);
    }
    return 0;
}

static void *listen_to_input(void *ctx)
{
    char line[32];

    while (fgets(line, sizeof line, stdin) != NULL) {
        atomic_fetch_add(&wanted, atoi(line));
        lws_cancel_service(context);
    }
    return NULL;
}

int main(void)
{
    static const struct lws_protocols protocols[] = { { "bench", on_event, sizeof(session), 0, 0, NULL, 0 }, { 0 } };
    struct lws_context_creation_info info = {
        .port = 0, .iface = "127.0.0.1", .protocols = protocols, .options = LWS_SERVER_OPTION_DISABLE_IPV6
    };
    pthread_t thread;

    lws_set_log_level(0, NULL);
    context = lws_create_context(&info);
    vhost = context != NULL ? lws_get_vhost_by_name(context, "default") : NULL;
    if (vhost == NULL)
        return 1;
    printf("listening %d\n", lws_get_vhost_listen_port(vhost));
    fflush(stdout);
    pthread_create(&thread, NULL, listen_to_input, NULL);
    while (lws_service(context, 0) >= 0)
        continue;
    return 0;
}
