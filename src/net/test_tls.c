#include "net/test_tls.h"

#include "base/test.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static FILE *file_open(const char *dir, const char *name, const char *ending, const char *how)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s.%s", dir, name, ending);
    FILE *file = fopen(path, how);
    assert_non_null(file);
    return file;
}

static void extension_add(X509 *to, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, to, NULL, NULL, 0);
    X509_EXTENSION *made = X509V3_EXT_conf_nid(NULL, &ctx, kind, value);
    assert_non_null(made);
    assert_int_equal(X509_add_ext(to, made, -1), 1);
    X509_EXTENSION_free(made);
}

void kt_test_certificate_make(const char *dir, const kt_test_certificate *spec)
{
    static long serial;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *issuer_key = key;
    X509 *made = X509_new(), *issuer = made;
    FILE *file = NULL;

    assert_true(key != NULL && made != NULL);
    if (spec->by != NULL) {
        file = file_open(dir, spec->by, "crt", "r");
        issuer = PEM_read_X509(file, NULL, NULL, NULL);
        fclose(file);
        file = file_open(dir, spec->by, "key", "r");
        issuer_key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
    }
    assert_true(issuer != NULL && issuer_key != NULL);
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made), spec->from_s);
    X509_gmtime_adj(X509_getm_notAfter(made), spec->to_s);
    X509_set_pubkey(made, key);
    X509_NAME_add_entry_by_txt(
        X509_get_subject_name(made), "CN", MBSTRING_ASC, (const unsigned char *)spec->name, -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(issuer));
    extension_add(made, issuer, NID_basic_constraints, spec->by == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (spec->of != NULL)
        extension_add(made, issuer, NID_subject_alt_name, spec->of);
    assert_true(X509_sign(made, issuer_key, EVP_sha256()) > 0);

    file = file_open(dir, spec->name, "crt", "w");
    assert_int_equal(PEM_write_X509(file, made), 1);
    fclose(file);
    file = file_open(dir, spec->name, "key", "w");
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    if (spec->by != NULL) {
        X509_free(issuer);
        EVP_PKEY_free(issuer_key);
    }
    X509_free(made);
    EVP_PKEY_free(key);
}

void kt_test_certificates_make(const char *dir)
{
    kt_test_certificate_make(dir, &(kt_test_certificate){ .name = "authority", .to_s = 3600 });
    kt_test_certificate_make(
        dir, &(kt_test_certificate){
                 .name = "server", .by = "authority", .of = "DNS:localhost,IP:127.0.0.1,IP:::1", .to_s = 3600 });
}
