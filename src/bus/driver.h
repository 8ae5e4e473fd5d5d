/* bus/driver.h - what a driver of the bus is: one row of functions. bus.h says what each promises. */
#ifndef KT_BUS_DRIVER_H
#define KT_BUS_DRIVER_H

#include "bus/bus.h"

typedef struct kt_bus_driver {
    const char *name;
    kt_durability strongest; /* that it can acknowledge */
    kt_code (*open)(const kt_bus_options *options, kt_bus **out_bus, kt_err *err);
    void (*close)(kt_bus *bus);
    kt_code (*publish)(kt_bus *bus, const kt_bus_publish_spec *spec, uint64_t *out_seq, kt_err *err);
    kt_code (*read)(kt_bus *bus, const kt_bus_read_spec *spec, kt_bus_reader **out_reader, kt_err *err);
    void (*read_close)(kt_bus_reader *reader);
    kt_code (*ack)(kt_bus_reader *reader, uint64_t seq, kt_err *err);
    uint64_t (*position)(const kt_bus_reader *reader);
    kt_code (*call_start)(kt_bus *bus, const kt_bus_call_spec *spec, uint64_t *out_id, kt_err *err);
    kt_code (*serve)(kt_bus *bus, kt_text action, kt_bus_on_call on_call, void *ctx, kt_err *err);
    kt_code (*answer)(kt_bus *bus, uint64_t token, kt_code code, kt_text body);
    kt_code (*put)(kt_bus *bus, kt_text key, kt_text value, uint64_t expected, uint64_t *out_revision, kt_err *err);
    kt_code (*get)(kt_bus *bus, kt_text key, kt_text *out_value, uint64_t *out_revision);
    kt_code (*watch)(kt_bus *bus, const char *log, kt_text pattern, kt_bus_change on_change, void *ctx, kt_err *err);
    uint32_t (*members)(const kt_bus *bus, kt_bus_member *out_members, uint32_t max);
    uint32_t (*poll)(kt_bus *bus);
    bool (*pending)(kt_bus *bus);
    void (*wants)(kt_bus *bus, kt_sleeper *sleeper);
    int64_t (*next_deadline)(const kt_bus *bus);
    kt_code (*link)(kt_bus *bus, uint32_t peer_index, uint32_t generation, int fd, kt_err *err);
} kt_bus_driver;

/* Every bus and every reader starts with its driver. */
struct kt_bus {
    const kt_bus_driver *driver;
};

struct kt_bus_reader {
    const kt_bus_driver *driver;
};

extern const kt_bus_driver kt_bus_local;

#endif
