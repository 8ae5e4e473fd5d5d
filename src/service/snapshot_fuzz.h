/* service/snapshot_fuzz.h - for the fuzz targets of services. Property: whatever the bytes of a snapshot, restoring answers;
 * and what it took gives the same bytes again and again: restore(save(x)) is x. */
#ifndef KT_SERVICE_SNAPSHOT_FUZZ_H
#define KT_SERVICE_SNAPSHOT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "schema/config.h"
#include "service/fake_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Restore a service of its own from the bytes, and save it again. The code is that of restoring. */
static kt_code through(const kt_service_spec *service, const kt_config *config, kt_text bytes, kt_writer *out_writer)
{
    kt_env env = { 0 };
    void *state;
    kt_code code;

    kt_writer_init(out_writer);
    kt_assert(service->start(&env, config, &state, NULL) == KT_OK);
    code = service->restore(state, service->version, bytes, NULL);
    if (code == KT_OK)
        kt_assert(service->snapshot(state, out_writer) == KT_OK);
    service->stop(state);
    fake_done(&env);
    return code;
}

static kt_text text_of(const kt_writer *writer)
{
    return (kt_text){ (const char *)writer->bytes, writer->size };
}

static int check_snapshot(const kt_service_spec *service, const char *config_text, kt_text bytes)
{
    kt_config *config;
    kt_writer first, second;
    kt_code code;

    kt_assert(kt_config_parse("fuzz", config_text, strlen(config_text), &config, NULL) == KT_OK);
    code = through(service, config, bytes, &first);
    if (code == KT_OK) {
        kt_assert(through(service, config, text_of(&first), &second) == KT_OK);
        kt_assert(kt_text_equal(text_of(&first), text_of(&second)));
        kt_writer_done(&second);
    } else {
        kt_assert(code == KT_CORRUPT || code == KT_SYS);
    }
    kt_writer_done(&first);
    kt_config_free(config);
    return 0;
}

#endif
