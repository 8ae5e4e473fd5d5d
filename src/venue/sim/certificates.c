#include "venue/sim/certificates.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { PATH_SIZE = 4096, HOUR_S = 3600, DAY_S = 24 * HOUR_S };

#define HERE "DNS:localhost,IP:127.0.0.1,IP:::1"

typedef struct certificate_spec {
    const char *name;
    const char *of;    /* subjectAltName */
    bool stranger;     /* the authority that signs is not the one that is written down */
    long from_s, to_s; /* from now */
} certificate_spec;

static const certificate_spec specs[KT_SIM_CERTIFICATE_COUNT] = {
    [KT_SIM_CERTIFICATE_GOOD] = { "good", HERE, false, -HOUR_S, DAY_S },
    [KT_SIM_CERTIFICATE_EXPIRED] = { "expired", HERE, false, -2 * DAY_S, -DAY_S },
    [KT_SIM_CERTIFICATE_OTHER_NAME] = { "other_name", "DNS:other.example", false, -HOUR_S, DAY_S },
    [KT_SIM_CERTIFICATE_OTHER_AUTHORITY] = { "other_authority", HERE, true, -HOUR_S, DAY_S },
};

const char *kt_sim_certificate_name(kt_sim_certificate certificate)
{
    return specs[certificate].name;
}

/* A certificate and its key. */
typedef struct pair {
    X509 *certificate;
    EVP_PKEY *key;
} pair;

static void pair_done(pair *made)
{
    X509_free(made->certificate);
    EVP_PKEY_free(made->key);
    *made = (pair){ 0 };
}

static bool extension_add(X509 *to, X509 *issuer, int kind, const char *value)
{
    X509_EXTENSION *made = NULL;
    bool good = false;
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, to, NULL, NULL, 0);
    made = X509V3_EXT_conf_nid(NULL, &ctx, kind, value);
    good = made != NULL && X509_add_ext(to, made, -1) == 1;
    X509_EXTENSION_free(made);
    return good;
}

/* Signed by `by`, or (NULL) by itself, and then it is an authority. */
static bool pair_make(const certificate_spec *spec, const pair *by, pair *out)
{
    static long serial;
    pair made = { X509_new(), EVP_EC_gen("P-256") };
    X509 *issuer = by != NULL ? by->certificate : made.certificate;
    EVP_PKEY *issuer_key = by != NULL ? by->key : made.key;
    const unsigned char *name = (const unsigned char *)spec->name;

    bool good =
        made.certificate != NULL && made.key != NULL && X509_set_version(made.certificate, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), ++serial) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(made.certificate), spec->from_s) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(made.certificate), spec->to_s) != NULL &&
        X509_set_pubkey(made.certificate, made.key) == 1 &&
        X509_NAME_add_entry_by_txt(X509_get_subject_name(made.certificate), "CN", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
        X509_set_issuer_name(made.certificate, X509_get_subject_name(issuer)) == 1 &&
        extension_add(
            made.certificate, issuer, NID_basic_constraints, by == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
        (spec->of == NULL || extension_add(made.certificate, issuer, NID_subject_alt_name, spec->of)) &&
        X509_sign(made.certificate, issuer_key, EVP_sha256()) > 0;
    if (good)
        *out = made;
    else
        pair_done(&made);
    return good;
}

static kt_code write_file(const char *folder, const char *name, const pair *made, bool key, kt_err *err)
{
    char path[PATH_SIZE];
    FILE *file = NULL;
    bool good = false;

    snprintf(path, sizeof path, "%s/%s.%s", folder, name, key ? "key" : "crt");
    file = fopen(path, "we");
    if (file == NULL)
        return kt_fail(err, KT_SYS, "cannot write '%s'", path);
    good = (key ? PEM_write_PrivateKey(file, made->key, NULL, NULL, 0, NULL, NULL)
                : PEM_write_X509(file, made->certificate)) == 1;
    return fclose(file) == 0 && good ? KT_OK : kt_fail(err, KT_SYS, "cannot write '%s'", path);
}

kt_code kt_sim_certificates_make(const char *folder, kt_err *err)
{
    static const certificate_spec authority_spec = { .name = "authority", .from_s = -3 * DAY_S, .to_s = DAY_S };
    static const certificate_spec stranger_spec = { .name = "stranger", .from_s = -3 * DAY_S, .to_s = DAY_S };
    pair authority = { 0 }, stranger = { 0 }, made = { 0 };
    kt_code code = KT_OK;

    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return kt_fail(err, KT_SYS, "cannot make folder '%s'", folder);
    if (!pair_make(&authority_spec, NULL, &authority) || !pair_make(&stranger_spec, NULL, &stranger)) {
        code = kt_fail(err, KT_SYS, "cannot make certificates");
        goto out;
    }
    code = write_file(folder, authority_spec.name, &authority, false, err);
    for (kt_sim_certificate i = 0; code == KT_OK && i < KT_SIM_CERTIFICATE_COUNT; i++) {
        if (!pair_make(&specs[i], specs[i].stranger ? &stranger : &authority, &made))
            code = kt_fail(err, KT_SYS, "cannot make certificates");
        if (code == KT_OK)
            code = write_file(folder, specs[i].name, &made, false, err);
        if (code == KT_OK)
            code = write_file(folder, specs[i].name, &made, true, err);
        pair_done(&made);
    }
out:
    pair_done(&authority);
    pair_done(&stranger);
    return code;
}
