#include "net/tls.h"

#include "base/assert.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "net/url.h"
#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What tells that a file is another one, or has been written again. */
typedef struct stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
} stamp;

enum { CERTIFICATE, KEY, FILE_COUNT };

struct kt_tls {
    SSL_CTX *ctx;
    char *files[FILE_COUNT]; /* of a server */
    stamp stamps[FILE_COUNT];
};

/* What a stream holds beside its descriptor. */
typedef struct tls_state {
    SSL *ssl;
    const char *fault;
    uint8_t read_wants, write_wants; /* the loop's events that go on with it */
    bool broken;                     /* nothing may be sent any more, not even a farewell */
} tls_state;

/* --- record buffers --------------------------------------------------------------------------------------------- */

/* With SSL_MODE_RELEASE_BUFFERS, without which every connection would hold two of them, OpenSSL takes a buffer for each
 * record and gives it back. malloc would hand out another one each time, which the processor's caches do not hold: that
 * costs more than to encrypt a record. So the last ones given back are kept, for the next connection at once. */
enum { BUFFER_SIZE_MIN = 16 << 10, BUFFER_SIZE = 18 << 10, BUFFER_KEPT_MAX = 8 };

static _Thread_local struct {
    void *at[BUFFER_KEPT_MAX];
    uint32_t count;
} kept;

static void *memory_take(size_t size, const char *file, int line)
{
    if (size < BUFFER_SIZE_MIN || size > BUFFER_SIZE)
        return malloc(size);
    return kept.count > 0 ? kept.at[--kept.count] : malloc(BUFFER_SIZE);
}

static void *memory_resize(void *memory, size_t size, const char *file, int line)
{
    return realloc(memory, size);
}

static void memory_give(void *memory, const char *file, int line)
{
    size_t size = malloc_usable_size(memory);

    if (size >= BUFFER_SIZE && size < BUFFER_SIZE + BUFFER_SIZE_MIN && kept.count < BUFFER_KEPT_MAX)
        kept.at[kept.count++] = memory;
    else
        free(memory);
}

/* OpenSSL lets itself be told so only before it has taken anything, so before main. When it does not, malloc serves. */
__attribute__((constructor)) static void memory_begin(void)
{
    (void)CRYPTO_set_mem_functions(memory_take, memory_resize, memory_give);
}

/* --- the socket below: as OpenSSL's own, but a peer that is gone raises no signal --------------------------------- */

static int bio_read(BIO *bio, char *to, int size)
{
    ssize_t got = recv((int)(intptr_t)BIO_get_data(bio), to, (size_t)size, 0);

    BIO_clear_retry_flags(bio);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        BIO_set_retry_read(bio);
    if (got == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return (int)got;
}

static int bio_write(BIO *bio, const char *from, int size)
{
    ssize_t put = send((int)(intptr_t)BIO_get_data(bio), from, (size_t)size, MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)put;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void bio_method_make(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    if (bio_method == NULL)
        return;
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static BIO *bio_new(int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BIO *bio = NULL;

    pthread_once(&once, bio_method_make);
    if (bio_method != NULL && (bio = BIO_new(bio_method)) != NULL) {
        BIO_set_data(bio, (void *)(intptr_t)fd);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* --- streams ---------------------------------------------------------------------------------------------------- */

/* In our words where OpenSSL's would puzzle. */
static const struct {
    int reason;
    const char *text;
} faults[] = {
    { SSL_R_WRONG_VERSION_NUMBER, "the other side does not speak TLS on this port" },
    { SSL_R_HTTP_REQUEST, "the other side speaks plain text, not TLS" },
    { SSL_R_UNSUPPORTED_PROTOCOL, "the other side offers no version of TLS from 1.2 on" },
    { SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the other side speaks no version of TLS from 1.2 on" },
    { SSL_R_NO_SHARED_CIPHER, "no cipher that both sides know" },
    { SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the other side does not trust the authority of our certificate" },
    { SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the other side says that our certificate has expired" },
    { SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the other side does not accept our certificate" },
};

static const char *fault_of(const tls_state *state, int system_error)
{
    unsigned long error = ERR_peek_error();
    const char *text = ERR_reason_error_string(error);

    if (error == 0)
        return system_error != 0 ? strerrordesc_np(system_error) : "connection ended during the TLS handshake";
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return text != NULL ? text : "TLS failed";
    if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return X509_verify_cert_error_string(SSL_get_verify_result(state->ssl));
    for (size_t i = 0; i < KT_COUNT(faults); i++)
        if (ERR_GET_REASON(error) == faults[i].reason)
            return faults[i].text;
    return text != NULL ? text : "TLS failed";
}

/* A read or write moved nothing: why? */
static ssize_t stopped(tls_state *state, int result, uint8_t *wants)
{
    int system_error = errno;

    switch (SSL_get_error(state->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *wants = KT_LOOP_READ;
        return KT_STREAM_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        *wants = KT_LOOP_WRITE;
        return KT_STREAM_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return KT_STREAM_END;
    default:
        state->broken = true;
        state->fault = fault_of(state, system_error);
        return KT_STREAM_ERROR;
    }
}

/* Others use OpenSSL, too, and what they left would be taken for this stream's. Looking is cheaper than clearing. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

/* Record by record, and another one only while it fits whole: what OpenSSL kept of it the loop would not see. */
static ssize_t tls_read(kt_stream *stream, void *to, size_t size)
{
    tls_state *state = stream->state;
    size_t got = 0, n = 0;
    ssize_t end = KT_STREAM_AGAIN;

    do {
        forget_errors();
        int result = SSL_read_ex(state->ssl, (uint8_t *)to + got, size - got, &n);
        if (result != 1) {
            end = stopped(state, result, &state->read_wants);
            break;
        }
        state->read_wants = KT_LOOP_READ;
        got += n;
    } while (size - got >= KT_STREAM_READ_MIN);
    return got > 0 ? (ssize_t)got : end;
}

static ssize_t tls_write(kt_stream *stream, const void *from, size_t size)
{
    tls_state *state = stream->state;
    size_t put = 0, n = 0;
    ssize_t end = KT_STREAM_AGAIN;

    while (put < size) {
        forget_errors();
        int result = SSL_write_ex(state->ssl, (const uint8_t *)from + put, size - put, &n);
        if (result != 1) {
            end = stopped(state, result, &state->write_wants);
            break;
        }
        state->write_wants = KT_LOOP_WRITE;
        put += n;
    }
    return put > 0 ? (ssize_t)put : end;
}

static uint32_t tls_wants(const kt_stream *stream, uint32_t events)
{
    const tls_state *state = stream->state;

    return ((events & KT_LOOP_READ) ? state->read_wants : 0u) | ((events & KT_LOOP_WRITE) ? state->write_wants : 0u);
}

static uint32_t tls_may(const kt_stream *stream, uint32_t ready)
{
    const tls_state *state = stream->state;

    return ((ready & state->read_wants) ? KT_LOOP_READ : 0u) | ((ready & state->write_wants) ? KT_LOOP_WRITE : 0u);
}

static const char *tls_fault(const kt_stream *stream)
{
    return ((const tls_state *)stream->state)->fault;
}

static void farewell(tls_state *state)
{
    if (!state->broken && SSL_is_init_finished(state->ssl))
        (void)SSL_shutdown(state->ssl); /* as far as the socket takes it at once */
    state->broken = true;
    ERR_clear_error();
}

static void tls_shut(kt_stream *stream)
{
    farewell(stream->state);
    shutdown(stream->fd, SHUT_WR);
}

static void tls_close(kt_stream *stream)
{
    tls_state *state = stream->state;

    farewell(state);
    SSL_free(state->ssl);
    free(state);
    close(stream->fd);
}

static kt_code stream_make(kt_tls *tls, int fd, kt_stream *out_stream)
{
    static const kt_stream_ops ops = { tls_read, tls_write, tls_wants, tls_may, tls_fault, tls_shut, tls_close };
    tls_state *state = calloc(1, sizeof *state);
    SSL *ssl = SSL_new(tls->ctx);
    BIO *bio = bio_new(fd);

    if (state == NULL || ssl == NULL || bio == NULL) {
        free(state);
        SSL_free(ssl);
        BIO_free(bio);
        return KT_SYS;
    }
    SSL_set_bio(ssl, bio, bio); /* and owns it */
    *state = (tls_state){ .ssl = ssl, .fault = "", .read_wants = KT_LOOP_READ, .write_wants = KT_LOOP_WRITE };
    *out_stream = (kt_stream){ &ops, state, fd };
    return KT_OK;
}

kt_code kt_tls_accept(kt_tls *tls, int fd, kt_stream *out_stream)
{
    kt_code code = stream_make(tls, fd, out_stream);

    if (code == KT_OK)
        SSL_set_accept_state(((tls_state *)out_stream->state)->ssl);
    return code;
}

kt_code kt_tls_connect(kt_tls *tls, int fd, kt_text host, kt_stream *out_stream)
{
    kt_stream made;
    kt_address address;
    char name[KT_URL_HOST_MAX + 1];
    bool named = false;
    kt_code code = stream_make(tls, fd, &made);

    if (code != KT_OK)
        return code;
    tls_state *state = made.state;
    SSL_set_connect_state(state->ssl);
    SSL_set_hostflags(state->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (host.n < sizeof name) {
        memcpy(name, host.s, host.n);
        name[host.n] = 0;
        if (kt_address_parse(host, 0, &address))
            named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(state->ssl), name) == 1;
        else
            named = SSL_set1_host(state->ssl, name) == 1 && SSL_set_tlsext_host_name(state->ssl, name) == 1;
    }
    if (!named) { /* never without a name to check */
        SSL_free(state->ssl);
        free(state);
        return KT_SYS;
    }
    *out_stream = made;
    return KT_OK;
}

/* --- what they share -------------------------------------------------------------------------------------------- */

static kt_code openssl_fail(kt_err *err, const char *what, const char *file)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());

    kt_fail(err, KT_CORRUPT, "%s '%s': %s", what, file, why != NULL ? why : "can not be used");
    ERR_clear_error();
    return KT_CORRUPT;
}

/* Nobody sits at the terminal who could be asked. */
static int no_password(char *to, int size, int writing, void *ctx)
{
    return -1;
}

/* In the order of their cost: with 128 bits a long record takes a quarter less than with 256. A client that puts ChaCha20
 * first has no instructions for AES, and gets it. */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

static kt_code ctx_new(const SSL_METHOD *method, SSL_CTX **out_ctx, kt_err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, SUITES) != 1) {
        SSL_CTX_free(ctx);
        return kt_fail(err, KT_SYS, "cannot start OpenSSL");
    }
    /* A connection that just ends is told by its own protocol: a close frame or a length is missing. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(
        ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets bring clients back and cost us no memory */
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    *out_ctx = ctx;
    return KT_OK;
}

static bool stamps_read(kt_tls *tls, stamp out_stamps[FILE_COUNT])
{
    for (int i = 0; i < FILE_COUNT; i++) {
        struct stat about;
        out_stamps[i] = (stamp){ 0 };
        if (stat(tls->files[i], &about) == 0)
            out_stamps[i] = (stamp){ about.st_dev, about.st_ino, about.st_size, about.st_ctim };
    }
    return memcmp(out_stamps, tls->stamps, sizeof tls->stamps) != 0;
}

static kt_code files_load(kt_tls *tls, kt_err *err)
{
    SSL_CTX *ctx = NULL;
    kt_code code = ctx_new(TLS_server_method(), &ctx, err);

    for (int i = 0; code == KT_OK && i < FILE_COUNT; i++)
        if (access(tls->files[i], R_OK) != 0)
            code = kt_fail(err, KT_SYS, "cannot read '%s'", tls->files[i]);
    if (code == KT_OK && SSL_CTX_use_certificate_chain_file(ctx, tls->files[CERTIFICATE]) != 1)
        code = openssl_fail(err, "certificate", tls->files[CERTIFICATE]);
    if (code == KT_OK && SSL_CTX_use_PrivateKey_file(ctx, tls->files[KEY], SSL_FILETYPE_PEM) != 1)
        code = openssl_fail(err, "key", tls->files[KEY]);
    if (code != KT_OK) {
        SSL_CTX_free(ctx);
        return code;
    }
    SSL_CTX_free(tls->ctx); /* connections hold on to theirs */
    tls->ctx = ctx;
    return KT_OK;
}

kt_code kt_tls_refresh(kt_tls *tls, kt_err *err)
{
    stamp now[FILE_COUNT];

    kt_assert(tls->files[CERTIFICATE] != NULL);
    if (!stamps_read(tls, now))
        return KT_EMPTY;
    memcpy(tls->stamps, now, sizeof now);
    return files_load(tls, err);
}

kt_code kt_tls_server_new(const char *certificate_file, const char *key_file, kt_tls **out_tls, kt_err *err)
{
    kt_code code = KT_OK;
    kt_tls *tls = calloc(1, sizeof *tls);

    if (tls != NULL) {
        tls->files[CERTIFICATE] = strdup(certificate_file);
        tls->files[KEY] = strdup(key_file);
    }
    if (tls == NULL || tls->files[CERTIFICATE] == NULL || tls->files[KEY] == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for TLS");
        goto out;
    }
    (void)stamps_read(tls, tls->stamps); /* before the files: a change in between is seen the next time */
    code = files_load(tls, err);
    if (code != KT_OK)
        goto out;
    *out_tls = tls;
    tls = NULL;
out:
    kt_tls_free(tls);
    return code;
}

kt_code kt_tls_client_new(const char *ca_file, kt_tls **out_tls, kt_err *err)
{
    bool own = ca_file != NULL && ca_file[0] != 0;
    kt_tls *tls = calloc(1, sizeof *tls);
    kt_code code =
        tls != NULL ? ctx_new(TLS_client_method(), &tls->ctx, err) : kt_fail(err, KT_SYS, "no memory for TLS");

    if (code == KT_OK && own && access(ca_file, R_OK) != 0)
        code = kt_fail(err, KT_SYS, "cannot read '%s'", ca_file);
    if (code == KT_OK && own && SSL_CTX_load_verify_file(tls->ctx, ca_file) != 1)
        code = openssl_fail(err, "authorities", ca_file);
    if (code == KT_OK && !own && SSL_CTX_set_default_verify_paths(tls->ctx) != 1)
        code = kt_fail(err, KT_SYS, "cannot read the authorities that the system trusts");
    if (code != KT_OK) {
        kt_tls_free(tls);
        return code;
    }
    SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
    *out_tls = tls;
    return KT_OK;
}

void kt_tls_free(kt_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->ctx);
    free(tls->files[CERTIFICATE]);
    free(tls->files[KEY]);
    free(tls);
}
