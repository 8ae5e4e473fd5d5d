/* net/test_tls.h - for tests: an authority of their own, and certificates that it signs, with libcrypto.
 */
#ifndef KT_NET_TEST_TLS_H
#define KT_NET_TEST_TLS_H

typedef struct kt_test_certificate {
    const char *name; /* of the files: {dir}/{name}.crt and {dir}/{name}.key; and its common name */
    const char *by;   /* name of the authority that signs it; NULL: it signs itself, and is one */
    const char *of;   /* subjectAltName, "DNS:localhost,IP:127.0.0.1"; NULL: none */
    long from_s;      /* valid from and to, seconds from now */
    long to_s;
} kt_test_certificate;

/* Write both files, anew if they are there. Fails the test when that does not work. */
void kt_test_certificate_make(const char *dir, const kt_test_certificate *spec);

/* The authority "authority", and a certificate "server" of it for localhost, 127.0.0.1 and ::1, both valid now. */
void kt_test_certificates_make(const char *dir);

#endif
