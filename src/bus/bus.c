#include "bus/driver.h"

#include <string.h>

static const kt_bus_driver *const drivers[] = { &kt_bus_local };

static const char *const durability_texts[] = { "ram", "disk", "quorum" };

const char *kt_durability_text(kt_durability durability)
{
    return (unsigned)durability < KT_COUNT(durability_texts) ? durability_texts[durability] : "unknown";
}

kt_code kt_bus_open(const kt_bus_options *options, kt_bus **out_bus, kt_err *err)
{
    for (uint32_t i = 0; i < KT_COUNT(drivers); i++) {
        if (strcmp(drivers[i]->name, options->driver) != 0)
            continue;
        if (options->durability > drivers[i]->strongest)
            return kt_fail(err, KT_ARG, "bus driver '%s' can acknowledge '%s' at most, '%s' is asked for",
                drivers[i]->name, kt_durability_text(drivers[i]->strongest), kt_durability_text(options->durability));
        return drivers[i]->open(options, out_bus, err);
    }
    return kt_fail(err, KT_ARG, "bus driver '%s' is not known; there is: local", options->driver);
}

void kt_bus_close(kt_bus *bus)
{
    if (bus != NULL)
        bus->driver->close(bus);
}

kt_code kt_bus_publish(kt_bus *bus, const kt_bus_publish_spec *spec, uint64_t *out_seq, kt_err *err)
{
    return bus->driver->publish(bus, spec, out_seq, err);
}

kt_code kt_bus_read(kt_bus *bus, const kt_bus_read_spec *spec, kt_bus_reader **out_reader, kt_err *err)
{
    return bus->driver->read(bus, spec, out_reader, err);
}

void kt_bus_read_close(kt_bus_reader *reader)
{
    if (reader != NULL)
        reader->driver->read_close(reader);
}

kt_code kt_bus_ack(kt_bus_reader *reader, uint64_t seq, kt_err *err)
{
    return reader->driver->ack(reader, seq, err);
}

uint64_t kt_bus_reader_position(const kt_bus_reader *reader)
{
    return reader->driver->position(reader);
}

kt_code kt_bus_call_start(kt_bus *bus, const kt_bus_call_spec *spec, uint64_t *out_id, kt_err *err)
{
    return bus->driver->call_start(bus, spec, out_id, err);
}

kt_code kt_bus_serve(kt_bus *bus, kt_text action, kt_bus_on_call on_call, void *ctx, kt_err *err)
{
    return bus->driver->serve(bus, action, on_call, ctx, err);
}

kt_code kt_bus_answer(kt_bus *bus, uint64_t token, kt_code code, kt_text body)
{
    return bus->driver->answer(bus, token, code, body);
}

kt_code kt_bus_put(kt_bus *bus, kt_text key, kt_text value, uint64_t expected, uint64_t *out_revision, kt_err *err)
{
    return bus->driver->put(bus, key, value, expected, out_revision, err);
}

kt_code kt_bus_get(kt_bus *bus, kt_text key, kt_text *out_value, uint64_t *out_revision)
{
    return bus->driver->get(bus, key, out_value, out_revision);
}

kt_code kt_bus_watch(kt_bus *bus, const char *log, kt_text pattern, kt_bus_change on_change, void *ctx, kt_err *err)
{
    return bus->driver->watch(bus, log, pattern, on_change, ctx, err);
}

uint32_t kt_bus_members(const kt_bus *bus, kt_bus_member *out_members, uint32_t max)
{
    return bus->driver->members(bus, out_members, max);
}

uint32_t kt_bus_poll(kt_bus *bus)
{
    return bus->driver->poll(bus);
}

bool kt_bus_pending(kt_bus *bus)
{
    return bus->driver->pending(bus);
}

void kt_bus_wants(kt_bus *bus, kt_sleeper *sleeper)
{
    bus->driver->wants(bus, sleeper);
}

int64_t kt_bus_next_deadline(const kt_bus *bus)
{
    return bus->driver->next_deadline(bus);
}

kt_code kt_bus_link(kt_bus *bus, uint32_t peer_index, uint32_t generation, int fd, kt_err *err)
{
    return bus->driver->link(bus, peer_index, generation, fd, err);
}
