/* net/tls.h - TLS 1.2 and 1.3 by OpenSSL, behind the functions of net/stream.h.
 *
 * Server    one certificate chain and key, from PEM files that are looked at again when the caller says so: connections
 *           that are open keep what they began with, new ones get the new certificate.
 * Client    the name that was connected to must stand in the certificate, which must lead to an authority that is
 *           trusted: the system's, or those of a file. The name is also sent (SNI).
 * Suites    AES with 128 bits before 256: the server chooses, and gives ChaCha20 to a client that puts it first.
 * Handshake happens inside the first reads and writes; kt_stream_wants says what they wait for.
 * Memory    about 13 KiB for an idle connection, and no buffer.
 * Errors    kt_stream_fault says what was wrong in a sentence: "certificate has expired", "hostname mismatch".
 */
#ifndef KT_NET_TLS_H
#define KT_NET_TLS_H

#include "base/error.h"
#include "base/types.h"
#include "net/stream.h"

/* What the connections of a server, or all clients of a program, share. They keep it alive themselves. */
typedef struct kt_tls kt_tls;

/* PEM files: the server's certificate first, then those between it and its authority; the key without a password.
 * KT_SYS, KT_CORRUPT: the message names the file and what is wrong with it. */
kt_code kt_tls_server_new(const char *certificate_file, const char *key_file, kt_tls **out_tls, kt_err *err);

/* `ca_file`: PEM file of the authorities to trust; NULL or empty: the system's. */
kt_code kt_tls_client_new(const char *ca_file, kt_tls **out_tls, kt_err *err);

void kt_tls_free(kt_tls *tls); /* accepts NULL */

/* Have the server's files changed? KT_EMPTY: no. KT_OK: the new ones hold from now on. KT_SYS, KT_CORRUPT: they can not
 * be used, and the old ones go on; said once for each change. Two calls of stat, so some seconds apart are often
 * enough. */
kt_code kt_tls_refresh(kt_tls *tls, kt_err *err);

/* Speak TLS on a connected non-blocking socket that the stream then owns. KT_SYS: no memory; the descriptor is still the
 * caller's. `host` is the name to check: a host name or a numeric address. */
kt_code kt_tls_accept(kt_tls *tls, int fd, kt_stream *out_stream);
kt_code kt_tls_connect(kt_tls *tls, int fd, kt_text host, kt_stream *out_stream);

enum { KT_TLS_HANDSHAKE = 0x16 }; /* the first byte that a client sends */

#endif
