/* service/settings.h - the configuration that changes while the house runs: a service that applies it, and a feed that
 * answers config.get and config.put.
 *
 * Kept     as keys config.settings.{section} of the log of the lane whose section it is (schema/config.h): each change is a
 *          `kv` input of that lane, and the lane's snapshot holds what stands, however long ago it was said.
 * Service  stands before all others in its lane's table, so that they see a change when it has been made. It alone changes the
 *          lane's kt_config, and only by records, so a log that is applied again finds the same values at the same
 *          places; two lanes of one process need a kt_config each. What it did is a `settings` event on
 *          settings.{section}: whoever has made something of a value (rules, buffers, timers) listens to it. A change
 *          that is not allowed changes nothing and says why.
 * Feed     refuses what is not allowed before it is written, and answers config.put when the change is durable. A lane
 *          that has no part in a section passes the call on to the one that has; config.get asks those for what
 *          they hold now.
 */
#ifndef KT_SERVICE_SETTINGS_H
#define KT_SERVICE_SETTINGS_H

#include "lane/lane.h"

enum {
    KT_SETTINGS_OPEN_MAX = 16, /* changes that wait for the disk; beyond that: KT_BUSY */
    KT_SETTINGS_CALL_MAX = 64, /* calls that wait for other lanes; likewise */
};

extern const kt_service_spec kt_settings_service;
extern const kt_feed_spec kt_settings_feed;

#endif
